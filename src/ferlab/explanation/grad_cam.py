"""Grad-CAM (https://arxiv.org/abs/1610.02391): which places of a picture speak for a class, in any of our networks.

The channels of a late feature map are added up, each weighed by the mean gradient of the class's logit with respect to
it. What is left above zero speaks for the class.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.errors import FerlabError
from ferlab.models import predict_logits

if TYPE_CHECKING:
    import keras

# Pixels a side that a feature map needs at least. On 48-pixel pictures the last maps of most architectures have 1 to 3.
# Measured on 140 faces: graying out the fifth that a map marks takes 0.30, 0.23 and 0.35 of the answer's probability
# from fernet, newmodel and mobilenetv2 by the last maps of 6x6, and 0.25, 0.23 and 0.12 by the very last ones.
MIN_SIDE = 6
BATCH_SIZE = 32


def grad_cam(
    model: "keras.Model", images: np.ndarray, labels: np.ndarray | None = None
) -> tuple[str, np.ndarray, np.ndarray]:
    """Runs a model, and makes maps of its classes by Grad-CAM (https://arxiv.org/abs/1610.02391).

    Args:
        model: from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`, made of layers or of models within it.
        images: `(N, 48, 48)` uint8, 0..255.
        labels: `(N,)`, the one class of each image that a map is wanted of; None for all K.

    Returns:
        The name of the layer whose feature map was weighed: the last one of at least 6x6 pixels. The logits `(N, K)`
        float32. The maps `(N, K, H, W)`, or `(N, 1, H, W)`, float32, 0..1, each divided by its highest value.

    Raises:
        FerlabError: if the model cannot be split at such a feature map.
    """
    layer, backbone, head = _split(model)
    one_hot = np.eye(head.output_shape[-1], dtype=np.float32)
    directions = np.repeat(one_hot[:, None], len(images), axis=1) if labels is None else one_hot[labels][None]
    logits, maps = [], []
    for start in range(0, len(images), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        features = predict_logits(backbone, images[batch])  # (n, H, W, C)
        answers, gradients = _gradients(head, features, directions[:, batch])
        logits.append(answers)
        maps.append(np.einsum("knc,nhwc->nkhw", gradients.mean(axis=(2, 3)), features).clip(0))
    joined = np.concatenate(maps)
    highest = joined.max(axis=(2, 3), keepdims=True)
    return layer, np.concatenate(logits), np.divide(joined, highest, out=joined, where=highest > 0)


def _split(model: "keras.Model") -> tuple[str, "keras.Model", "keras.Model"]:
    """Splits a model at the last feature map that is large enough and that everything after it comes from.

    Returns:
        The name of the layer, the part up to its output `(N, H, W, C)`, and the part from there to the logits.
    """
    import keras

    try:
        flat, outputs = _taken_apart(model)
    except (ValueError, TypeError) as error:
        raise FerlabError(f"The model '{model.name}' cannot be taken apart: {str(error).splitlines()[0]}") from error
    first = next((place for place, (layer, _) in enumerate(outputs) if _is_convolution(layer)), len(outputs))
    for layer, output in reversed(outputs[first:]):
        shape = tuple(output.shape)
        padded = isinstance(layer, keras.layers.ZeroPadding2D)  # its margin would move the map
        if len(shape) == 4 and min(shape[1] or 0, shape[2] or 0) >= MIN_SIDE and not padded:
            try:
                return layer.name, keras.Model(flat.input, output), keras.Model(output, flat.output)
            except ValueError:  # another branch goes round this map
                continue
    raise FerlabError(
        f"The model '{model.name}' has no feature map of at least {MIN_SIDE}x{MIN_SIDE} pixels, made by convolutions, "
        "that all its logits come from: there is nothing to lay over a picture."
    )


def _is_convolution(layer: Any) -> bool:
    """Whether a layer has a kernel (height, width, channels, filters); operations without weights are in graphs too."""
    import keras

    return isinstance(layer, keras.Layer) and any(len(weight.shape) == 4 for weight in layer.weights)


def _taken_apart(model: "keras.Model") -> tuple["keras.Model", list[tuple["keras.Layer", "keras.KerasTensor"]]]:
    """The same network with the same weights, the layers of models within it side by side with its own.

    Only so can it be split inside such a model: the tensors of that model's own graph are no part of the graph in
    which it is called as a layer.

    Returns:
        The network, and each of its layers with its output, in the order of computation.
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
    """The logits of feature maps, and the gradients of chosen logits with respect to them.

    Args:
        head: from feature maps to logits `(N, K)`.
        features: `(N, H, W, C)` float32.
        directions: `(M, N, K)` float32: M times one logit of each image, as one-hot rows.

    Returns:
        `(N, K)` and `(M, N, H, W, C)`, both float32.
    """
    import keras

    if keras.config.backend() == "jax":
        import jax

        state = [variable.value for variable in head.trainable_variables]
        fixed = [variable.value for variable in head.non_trainable_variables]

        @jax.jit
        def pulled_back(features: Any) -> Any:
            answer = lambda inputs: head.stateless_call(state, fixed, inputs, training=False)[0]  # noqa: E731
            logits, pull_back = jax.vjp(answer, features)
            return logits, jax.vmap(pull_back)(directions)[0]

        logits, gradients = pulled_back(features)
        return np.asarray(logits), np.asarray(gradients)
    import tensorflow as tf

    inputs = tf.constant(features)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        logits = head(inputs, training=False)
    gradients = [tape.gradient(logits, inputs, output_gradients=direction) for direction in directions]
    return logits.numpy(), np.stack([gradient.numpy() for gradient in gradients])
