"""Frozen backbones: features that never change are computed once, and only the head is trained on them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ferlab.models import predict_logits

if TYPE_CHECKING:
    import keras


def split_frozen_backbone(model: "keras.Model") -> "tuple[keras.Model, keras.Model] | None":
    """Split a model at its `features` layer, if no layer up to it is trained.

    Returns:
        The backbone, from images to features `(N, F)`, and the head, from features to logits, which shares its layers
        with the model; None if the model has no such layer or its backbone is trained.
    """
    import keras

    names = [layer.name for layer in model.layers]
    if "features" not in names:
        return None
    position = names.index("features")
    if any(layer.trainable_weights for layer in model.layers[: position + 1]):
        return None
    backbone = keras.Model(model.input, model.layers[position].output)
    x = inputs = keras.Input(backbone.output.shape[1:])
    for layer in model.layers[position + 1 :]:
        x = layer(x)
    return backbone, keras.Model(inputs, x)


def compute_features(
    backbone: "keras.Model", images: np.ndarray, advance: Callable[[int], None], chunk: int = 512
) -> np.ndarray:
    """Compute the features `(N, F)` of images `(N, 48, 48)` uint8."""
    parts = []
    for start in range(0, len(images), chunk):
        parts.append(predict_logits(backbone, images[start : start + chunk], batch_size=64))
        advance(len(parts[-1]))
    return np.concatenate(parts)
