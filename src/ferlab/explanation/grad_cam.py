"""Grad-CAM (https://arxiv.org/abs/1610.02391): heat maps of the regions that support a class, for any Keras model.

A map is the weighted sum of the channels of a late feature map. The weight of a channel is the mean gradient of the
class's logit with respect to that channel. Negative values are set to zero.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.errors import FerlabError
from ferlab.models import predict_logits

if TYPE_CHECKING:
    import keras

# Minimum height and width of the feature map. For images of 48x48 pixels, the last feature map of most architectures
# has 1x1 to 3x3 pixels. Measured on 140 faces: graying out the fifth of the image that the map marks lowers the
# probability of the predicted class by 0.30, 0.23 and 0.35 (fernet, newmodel, mobilenetv2) with the last map of 6x6
# pixels, and by 0.25, 0.23 and 0.12 with the very last map.
MIN_SIDE = 6
BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class GradCam:
    """Heat maps of one model.

    Args:
        layer: name of the layer whose feature map was used: the last one of at least 6x6 pixels.
        logits: `(N, K)` float32.
        maps: `(N, K, H, W)` float32, or `(N, 1, H, W)` for one class per image. Each map is divided by its maximum, so
            values are 0..1. A map is all zero if nothing supports the class.
    """

    layer: str
    logits: np.ndarray
    maps: np.ndarray


def grad_cam(model: "keras.Model", images: np.ndarray, labels: np.ndarray | None = None) -> GradCam:
    """Compute Grad-CAM heat maps (https://arxiv.org/abs/1610.02391).

    Args:
        model: maps images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`. It may contain nested models.
        images: `(N, 48, 48)` uint8, 0..255.
        labels: `(N,)`, the class to explain in each image. None explains all K classes.

    Returns:
        The layer, the logits and the maps.

    Raises:
        FerlabError: if the model has no suitable feature map.
    """
    layer, backbone, head = _split(model)
    one_hot = np.eye(head.output_shape[-1], dtype=np.float32)
    directions = np.repeat(one_hot[:, None], len(images), axis=1) if labels is None else one_hot[labels][None]
    logits, maps = [], []
    for start in range(0, len(images), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        features = predict_logits(backbone, images[batch])  # (n, H, W, C)
        own_logits, gradients = _gradients(head, features, directions[:, batch])
        logits.append(own_logits)
        maps.append(np.einsum("knc,nhwc->nkhw", gradients.mean(axis=(2, 3)), features).clip(0))
    joined = np.concatenate(maps)
    highest = joined.max(axis=(2, 3), keepdims=True)
    scaled = np.divide(joined, highest, out=joined, where=highest > 0)
    return GradCam(layer=layer, logits=np.concatenate(logits), maps=scaled)


def _split(model: "keras.Model") -> tuple[str, "keras.Model", "keras.Model"]:
    """Split a model at its last feature map that is large enough and that all later layers depend on.

    Returns:
        The name of the layer, the part up to its output `(N, H, W, C)`, and the part from there to the logits.
    """
    import keras

    try:
        flat, outputs = _flatten(model)
    except (ValueError, TypeError) as error:
        raise FerlabError(
            f"The layers of model '{model.name}' cannot be separated: {str(error).splitlines()[0]}"
        ) from error
    first = next((place for place, (layer, _) in enumerate(outputs) if _is_convolution(layer)), len(outputs))
    for layer, output in reversed(outputs[first:]):
        shape = tuple(getattr(output, "shape", ()))  # a layer may have several outputs
        padded = isinstance(layer, keras.layers.ZeroPadding2D)  # its border would shift the map
        if len(shape) == 4 and min(shape[1] or 0, shape[2] or 0) >= MIN_SIDE and not padded:
            try:
                return layer.name, keras.Model(flat.input, output), keras.Model(output, flat.output)
            except ValueError:  # another branch bypasses this feature map
                continue
    raise FerlabError(
        f"Model '{model.name}' has no feature map of at least {MIN_SIDE}x{MIN_SIDE} pixels that is computed by "
        "convolutions and that all logits depend on. Grad-CAM cannot explain it."
    )


def _is_convolution(layer: Any) -> bool:
    """Check for a kernel (height, width, channels, filters). Graphs also contain operations without weights."""
    import keras

    return isinstance(layer, keras.Layer) and any(len(weight.shape) == 4 for weight in layer.weights)


def _flatten(model: "keras.Model") -> tuple["keras.Model", list[tuple["keras.Layer", "keras.KerasTensor"]]]:
    """Inline nested models, with shared weights.

    A model can only be split at tensors of its own graph, and the tensors inside a nested model belong to another one.

    Returns:
        The flat model, and each of its layers with its output, in the order of computation.
    """
    import keras

    images = keras.Input(model.input_shape[1:])
    flat = keras.Model(images, model(images))
    outputs: list[tuple[keras.Layer, keras.KerasTensor]] = [(model, flat.output)]
    while any(isinstance(layer, keras.Model) for layer, _ in outputs):
        outputs = []

        def call(layer: "keras.Layer", *inputs: Any, seen: list = outputs, **options: Any) -> Any:
            result = layer.call(*inputs, **options) if isinstance(layer, keras.Model) else layer(*inputs, **options)
            seen.append((layer, result))
            return result

        flat = keras.models.clone_model(flat, clone_function=lambda layer: layer, call_function=call)
    return flat, outputs


def _gradients(head: "keras.Model", features: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute logits from feature maps, and the gradients of chosen logits with respect to the feature maps.

    Args:
        head: maps feature maps to logits `(N, K)`.
        features: `(N, H, W, C)` float32.
        directions: `(M, N, K)` float32: one-hot rows that choose M logits of each image.

    Returns:
        Logits `(N, K)` and gradients `(M, N, H, W, C)`, both float32.
    """
    import keras

    return (_jax_gradients if keras.config.backend() == "jax" else _tensorflow_gradients)(head, features, directions)


def _jax_gradients(head: "keras.Model", features: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import jax

    state = [variable.value for variable in head.trainable_variables]
    fixed = [variable.value for variable in head.non_trainable_variables]

    def forward(inputs: Any) -> Any:
        return head.stateless_call(state, fixed, inputs, training=False)[0]

    @jax.jit
    def pull_back(inputs: Any) -> Any:
        logits, pull = jax.vjp(forward, inputs)
        return logits, jax.vmap(pull)(directions)[0]

    logits, gradients = pull_back(features)
    return np.asarray(logits), np.asarray(gradients)


def _tensorflow_gradients(
    head: "keras.Model", features: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    inputs = tf.constant(features)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        logits = head(inputs, training=False)
    gradients = [tape.gradient(logits, inputs, output_gradients=direction) for direction in directions]
    return logits.numpy(), np.stack([gradient.numpy() for gradient in gradients])
