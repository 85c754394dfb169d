"""Count the parameters and multiply-adds of Keras models."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def count_parameters(model: "keras.Model") -> tuple[int, int]:
    """Count the parameters of a model: all of them, and the trainable ones."""
    return model.count_params(), sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_multiply_adds(model: "keras.Model") -> int:
    """Count the multiply-adds of one forward pass for one image.

    Only convolutions and dense layers count; everything else is negligible. Nested models are included. A layer that is
    called several times counts once.
    """
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += count_multiply_adds(layer)
        for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            kernel = getattr(layer, name, None)
            if kernel is not None:  # a depthwise kernel is (height, width, channels, 1)
                total += _num_positions(layer) * math.prod(kernel.shape)
    return total


def _num_positions(layer: "keras.Layer") -> int:
    """Return how often a layer applies its kernel to one image: once per output pixel or sequence element."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):  # called several times
        shape = layer._inbound_nodes[0].output_tensors[0].shape
    return math.prod(size or 1 for size in shape[1:-1])
