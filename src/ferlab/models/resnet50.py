"""ResNet50 (https://arxiv.org/abs/1512.03385), from keras.applications, with a head of our own.

As the study built it (a dense layer of 128 units): 23,850,887 parameters.
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
) -> "keras.Model":
    """Builds the network; see `ferlab.models._classics.build_classic` for the options."""
    from keras.applications import ResNet50

    return build_classic(
        ResNet50,
        num_classes,
        name="resnet50",
        input_size=input_size,
        scaling=scaling,
        interpolation=interpolation,
        weights=weights,
        trainable_backbone=trainable_backbone,
        dense_units=dense_units,
        dropout=dropout,
    )
