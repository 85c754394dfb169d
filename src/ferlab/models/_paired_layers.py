"""Layers with paired channels, for networks whose prediction is the same for a face and its mirror image.

The second channel of a pair responds to the mirrored image as the first one responds to the image: group convolutions
(https://arxiv.org/abs/1602.07576) for the group of one reflection. A feature map holds all first channels, then all
second ones. Mirroring the image mirrors each map and swaps the two halves. These layers hold the free weights only;
`set_expanded_weights` expands them to the weights of plain layers that compute the same function.
"""

from typing import Any

import keras
import numpy as np


class PairedConvolution(keras.layers.Layer):
    """A convolution that outputs paired channels, from paired channels or from a one-channel image.

    Args:
        filters: number of output channels, both channels of each pair counted.
        kernel_size: side length of the kernel.
        strides: step of the kernel. On a map of even size, a stride of 2 requires an even kernel: an odd one would
            sample a mirrored image at other positions.
        padding, use_bias, activation, kernel_initializer: as in `keras.layers.Conv2D`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: str = "valid",
        use_bias: bool = True,
        activation: str | None = None,
        kernel_initializer: str = "glorot_uniform",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.settings: dict[str, Any] = {
            "filters": filters,
            "kernel_size": kernel_size,
            "strides": strides,
            "padding": padding,
            "use_bias": use_bias,
            "activation": activation,
            "kernel_initializer": kernel_initializer,
        }

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights of the first channel of each pair."""
        side, half = self.settings["kernel_size"], self.settings["filters"] // 2
        initializer = self.settings["kernel_initializer"]
        self.kernel = self.add_weight(shape=(side, side, input_shape[-1], half), initializer=initializer, name="kernel")
        self.bias = None
        if self.settings["use_bias"]:
            self.bias = self.add_weight(shape=(half,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Map `(N, H, W, C)` to `(N, H', W', filters)`."""
        kernel = _expand_kernel(self.kernel, keras.ops)
        outputs = keras.ops.conv(inputs, kernel, strides=self.settings["strides"], padding=self.settings["padding"])
        if self.bias is not None:
            outputs = outputs + keras.ops.concatenate([self.bias, self.bias])
        return keras.activations.get(self.settings["activation"])(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | self.settings


def _expand_kernel(kernel: Any, arrays: Any) -> Any:
    """Compute the kernels of all channels from those of each pair's first: `(k, k, C, F / 2)` to `(k, k, C, F)`."""
    mirrored = kernel[:, ::-1]
    if kernel.shape[2] > 1:
        first, second = arrays.split(mirrored, 2, axis=2)
        mirrored = arrays.concatenate([second, first], axis=2)
    return arrays.concatenate([kernel, mirrored], axis=-1)


def normalize_pairs(x: keras.KerasTensor, **settings: Any) -> keras.KerasTensor:
    """Apply batch normalization with the same statistics, scale and offset for both channels of a pair."""
    _, height, width, channels = x.shape
    x = keras.layers.Reshape((height, 2 * width, channels // 2))(x)
    x = keras.layers.BatchNormalization(**settings)(x)
    return keras.layers.Reshape((height, width, channels))(x)


def average_pairs(features: keras.KerasTensor) -> keras.KerasTensor:
    """Average both channels of each pair, `(N, C)` to `(N, C / 2)`: the same for an image and its mirror image."""
    halves = keras.layers.Reshape((2, features.shape[-1] // 2))(features)
    return keras.layers.GlobalAveragePooling1D()(halves)


def set_expanded_weights(plain: keras.Model, paired: keras.Model) -> None:
    """Set the weights of a network of plain layers so that it computes the same as a network of paired layers.

    Args:
        plain: a network whose layers with weights have the same names as in `paired`.
        paired: the same network, made of paired layers.
    """
    for layer in plain.layers:
        free = paired.get_layer(layer.name).get_weights() if layer.weights else []
        layer.set_weights([_expand(weight, full.shape) for weight, full in zip(free, layer.weights, strict=True)])


def set_free_weights(paired: keras.Model, plain: keras.Model) -> None:
    """Set the weights of a network of paired layers from those that `set_expanded_weights` has expanded.

    Args:
        paired: a network made of paired layers.
        plain: the same network, made of plain layers, whose weights are those of a paired network.

    Raises:
        ValueError: if they are not.
    """
    for layer in paired.layers:
        full = plain.get_layer(layer.name).get_weights() if layer.weights else []
        layer.set_weights([_reduce(weight, free.shape) for weight, free in zip(full, layer.weights, strict=True)])


def _reduce(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the free part of an expanded weight."""
    free = weight[tuple(slice(size) for size in shape)]
    if weight.ndim == 2 and weight.shape != free.shape:
        free = 2 * free
    expanded = _expand(free, weight.shape)
    if expanded.shape != weight.shape or not np.allclose(expanded, weight):
        raise ValueError("the weights are not those of paired channels")
    return free


def _expand(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if weight.shape == tuple(shape):
        return weight
    if weight.ndim == 4:  # the kernel of a convolution
        return _expand_kernel(weight, np)
    if weight.ndim == 2:  # the kernel of a dense layer, which sees the means of pairs
        return np.concatenate([weight, weight]) / 2
    return np.concatenate([weight, weight])
