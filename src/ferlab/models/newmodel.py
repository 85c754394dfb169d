"""The original study's own network: four convolutions and two dense layers."""

from typing import TYPE_CHECKING

from ferlab.models._inputs import image_input

if TYPE_CHECKING:
    import keras

CONVOLUTIONS = ((64, 3), (128, 5), (512, 3), (512, 3))  # filters, kernel size
DENSE_UNITS = (256, 512)


def newmodel(num_classes: int, *, scaling: str = "unit", dropout: float = 0.25) -> "keras.Model":
    """The original study's own network: four convolutions and two dense layers.

    Convolutions with 64 (3x3), 128 (5x5), 512 (3x3) and 512 (3x3) filters, each followed by batch normalization, 2x2
    max pooling, ReLU and dropout; then dense layers of 256 and 512 units with batch normalization, ReLU and dropout.
    4,478,727 parameters, as in the study's notebook.

    Args:
        num_classes: number K of classes.
        scaling: `unit` for pixels 0..1; the study trained on `raw` pixels 0..255.
        dropout: dropout rate after every block.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`.
    """
    import keras
    from keras import layers

    images, x = image_input(scaling=scaling)
    for filters, kernel_size in CONVOLUTIONS:
        x = layers.Conv2D(filters, kernel_size, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)  # before ReLU: the same result for a quarter of the work
        x = layers.ReLU()(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)  # (N, 4608)
    for units in DENSE_UNITS:
        x = layers.Dense(units)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Dropout(dropout)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="newmodel")
