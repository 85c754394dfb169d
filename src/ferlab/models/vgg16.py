"""VGG16 (https://arxiv.org/abs/1409.1556), from keras.applications, with a head of our own.

As the study built it (224 pixels, with its two dense layers of 4,096 units): 134,289,223 parameters.
"""

from typing import TYPE_CHECKING

from ferlab.models._classics import build_classic

if TYPE_CHECKING:
    import keras


def build(
    num_classes: int,
    *,
    input_size: int = 48,
    scaling: str = "caffe",
    interpolation: str = "bilinear",
    weights: str = "none",
    trainable_backbone: bool = True,
    dense_units: int = 0,
    dropout: float = 0.0,
    full: bool = False,
) -> "keras.Model":
    """Builds the network; see `ferlab.models._classics.build_classic` for the options.

    `full` keeps VGG16's own two dense layers, which need 224-pixel inputs."""
    from keras.applications import VGG16

    model = build_classic(
        VGG16,
        num_classes,
        name="vgg16",
        input_size=input_size,
        scaling=scaling,
        interpolation=interpolation,
        weights=weights,
        trainable_backbone=trainable_backbone,
        dense_units=dense_units,
        dropout=dropout,
        last_layer="fc2" if full else None,
    )
    if weights == "none":
        _initialize_for_relu(model)
    return model


def _initialize_for_relu(model: "keras.Model") -> None:
    """Draw the kernels before each ReLU from He's normal distribution (https://arxiv.org/abs/1502.01852).

    VGG16 has no normalization: with Keras's default, Glorot's, the signal fades over its 13 convolutions, and training
    from scratch stays at chance for hundreds of steps.
    """
    from keras import activations, initializers

    for layer in model.layers:
        if getattr(layer, "activation", None) is activations.relu:
            layer.kernel.assign(initializers.HeNormal()(layer.kernel.shape))
