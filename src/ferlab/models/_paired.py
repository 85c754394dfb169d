"""Channels in pairs: the second of a pair sees the mirror image of a picture as the first one sees the picture.

Group convolutions (https://arxiv.org/abs/1602.07576) for the group of one reflection. Maps hold all first channels,
then all second ones; a mirrored picture turns the maps round and lets the two halves change places. Only what is free
to learn has weights here; `set_all_weights` makes of them those of plain layers that compute the same.
"""

from typing import Any

import keras
import numpy as np


class PairedConvolution(keras.layers.Layer):
    """A convolution to pairs of channels, from pairs or, where there is one channel, from a picture.

    Args:
        filters: channels of the output, both of each pair counted.
        kernel_size: side of the kernel.
        strides: on an even map, 2 wants a kernel of an even side: others look at a mirror image in other places.
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
        """Makes the weights of the first channel of each pair."""
        side, half = self.settings["kernel_size"], self.settings["filters"] // 2
        initializer = self.settings["kernel_initializer"]
        self.kernel = self.add_weight(shape=(side, side, input_shape[-1], half), initializer=initializer, name="kernel")
        self.bias = None
        if self.settings["use_bias"]:
            self.bias = self.add_weight(shape=(half,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """From `(N, H, W, C)` to `(N, H', W', filters)`."""
        kernel = _both(self.kernel, keras.ops)
        outputs = keras.ops.conv(inputs, kernel, strides=self.settings["strides"], padding=self.settings["padding"])
        if self.bias is not None:
            outputs = outputs + keras.ops.concatenate([self.bias, self.bias])
        return keras.activations.get(self.settings["activation"])(outputs)

    def get_config(self) -> dict[str, Any]:
        """What the layer is made with."""
        return super().get_config() | self.settings


def _both(kernel: Any, arrays: Any) -> Any:
    """The kernels of all channels, of those of the first of each pair: `(k, k, C, F / 2)` to `(k, k, C, F)`."""
    mirrored = kernel[:, ::-1]
    if kernel.shape[2] > 1:
        first, second = arrays.split(mirrored, 2, axis=2)
        mirrored = arrays.concatenate([second, first], axis=2)
    return arrays.concatenate([kernel, mirrored], axis=-1)


def normalize_pairs(x: keras.KerasTensor, **settings: Any) -> keras.KerasTensor:
    """Batch normalization with the same statistics, scale and offset for both channels of a pair."""
    _, height, width, channels = x.shape
    x = keras.layers.Reshape((height, 2 * width, channels // 2))(x)
    x = keras.layers.BatchNormalization(**settings)(x)
    return keras.layers.Reshape((height, width, channels))(x)


def average_pairs(features: keras.KerasTensor) -> keras.KerasTensor:
    """The mean of both channels of each pair, the same for a picture and its mirror image: `(N, C)` to `(N, C / 2)`."""
    halves = keras.layers.Reshape((2, features.shape[-1] // 2))(features)
    return keras.layers.GlobalAveragePooling1D()(halves)


def set_all_weights(plain: keras.Model, paired: keras.Model) -> None:
    """Gives a network of plain layers the weights with which it computes what one of paired layers does.

    Args:
        plain: its layers with weights are called as those of `paired`.
        paired: the same network of paired layers.
    """
    for layer in plain.layers:
        free = paired.get_layer(layer.name).get_weights() if layer.weights else []
        layer.set_weights([_all(weight, whole.shape) for weight, whole in zip(free, layer.weights, strict=True)])


def _all(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if weight.shape == tuple(shape):
        return weight
    if weight.ndim == 4:  # a convolution's kernel
        return _both(weight, np)
    if weight.ndim == 2:  # a dense layer's, on the means of pairs
        return np.concatenate([weight, weight]) / 2
    return np.concatenate([weight, weight])
