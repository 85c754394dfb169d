"""Read the network of an ONNX artifact back into Keras, so that it can be trained again.

Weights in 8 or 16 bits become float32, and the rounding of activations is left out. Batch normalization is already part
of the convolutions in an exported file, so the network has none. ONNX puts channels before rows and columns, and Keras
after them: `Value` says which order a tensor has, so that it is only changed where an operation needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from ferlab.errors import ArtifactError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Value:
    """A tensor of the network.

    Args:
        tensor: the tensor.
        channels_last: whether it is `(N, H, W, C)` where ONNX has `(N, C, H, W)`.
    """

    tensor: keras.KerasTensor
    channels_last: bool = False

    def with_channels_last(self) -> keras.KerasTensor:
        """Return it as `(N, H, W, C)`."""
        return self.tensor if self.channels_last else ops.transpose(self.tensor, (0, 2, 3, 1))

    def as_in_onnx(self) -> keras.KerasTensor:
        """Return it with the order of axes that ONNX has."""
        return ops.transpose(self.tensor, (0, 3, 1, 2)) if self.channels_last else self.tensor


Operand = Value | np.ndarray  # a tensor or a constant
Attributes = dict[str, Any]


def read_network(path: Path) -> keras.Model:
    """Read the network of an artifact.

    Args:
        path: an `.onnx` file.

    Returns:
        A model from images `(N, 48, 48, 1)` to logits `(N, K)`, divided by the temperature of the artifact. Its last
        layer is dense.

    Raises:
        ArtifactError: if the network has an operation that cannot be read back.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    images = keras.Input((48, 48, 1))
    values: dict[str, Operand] = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values["images"] = Value(images)
    for node in _with_biases(graph):
        if node.op_type == "Softmax":
            logits = values[node.input[0]]
            assert isinstance(logits, Value)
            return keras.Model(images, _with_dense_end(path, images, logits.tensor))
        if node.op_type not in OPERATIONS:
            raise ArtifactError(
                f"{path} contains the operation {node.op_type}, which cannot be read back into Keras. Pass the run "
                "folder that it was exported from."
            )
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if any(step != 1 for step in attributes.get("dilations", ())):
            raise ArtifactError(f"{path} has a dilated {node.op_type}, which cannot be read back into Keras.")
        values[node.output[0]] = OPERATIONS[node.op_type](attributes, *(values[name] for name in node.input if name))
    raise ArtifactError(f"{path} does not end in a softmax. Pass the run folder that it was exported from.")


def has_8_bit_weights(path: Path) -> bool:
    """Return whether an `.onnx` file stores weights in 8 bits."""
    import onnx

    return any(tensor.data_type == onnx.TensorProto.INT8 for tensor in onnx.load(path).graph.initializer)


def _with_biases(graph: "onnx.GraphProto") -> "list[onnx.NodeProto]":
    """Join each matrix product with the addition of its bias, so that both are one dense layer."""
    constants = {tensor.name for tensor in graph.initializer}
    products = {node.output[0]: node for node in graph.node if node.op_type == "MatMul"}
    kept = []
    for node in graph.node:
        product = next((products[name] for name in node.input if name in products), None)
        bias = next((name for name in node.input if name in constants), None)
        if node.op_type == "Add" and product is not None and bias is not None:
            product.input.append(bias)
            product.output[0] = node.output[0]
        else:
            kept.append(node)
    return kept


def _with_dense_end(path: Path, images: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Let the network end in its last dense layer, whose weights take up the temperature that divides its outputs."""
    model = keras.Model(images, logits)
    head = next((layer for layer in reversed(model.layers) if isinstance(layer, layers.Dense)), None)
    if head is None:
        raise ArtifactError(f"{path} has no dense layer, so it cannot be fine-tuned.")
    probe = np.random.default_rng(0).uniform(0, 255, (4, 48, 48, 1)).astype(np.float32)
    before, after = (np.asarray(keras.Model(images, output)(probe)) for output in (head.output, logits))
    factor = float((before * after).sum() / (before * before).sum())
    if not np.allclose(factor * before, after, rtol=1e-3, atol=1e-3):
        raise ArtifactError(f"{path} does not end in a dense layer, so it cannot be fine-tuned.")
    head.set_weights([factor * weight for weight in head.get_weights()])
    return head.output


def _convolution(attributes: Attributes, x: Value, kernel: np.ndarray, bias: np.ndarray | None = None) -> Value:
    inputs, groups = x.with_channels_last(), attributes.get("group", 1)
    strides, inputs, padding = _padded(attributes, inputs, kernel.shape[2:])
    settings = {"strides": strides, "padding": padding, "use_bias": bias is not None}
    weights = [] if bias is None else [bias]
    if groups == 1:
        layer = layers.Conv2D(kernel.shape[0], kernel.shape[2:], **settings)
        outputs, weights = layer(inputs), [kernel.transpose(2, 3, 1, 0), *weights]
    else:  # depthwise: (C * multiplier, 1, H, W)
        layer = layers.DepthwiseConv2D(kernel.shape[2:], depth_multiplier=len(kernel) // groups, **settings)
        grouped = kernel.reshape(groups, -1, *kernel.shape[2:])
        outputs, weights = layer(inputs), [grouped.transpose(2, 3, 0, 1), *weights]
    layer.set_weights(weights)
    return Value(outputs, channels_last=True)


def _padded(
    attributes: Attributes, inputs: keras.KerasTensor, window: tuple[int, ...]
) -> tuple[tuple[int, ...], keras.KerasTensor, str]:
    """Return the strides of a window, its inputs `(N, H, W, C)` with explicit padding, and the padding that is left."""
    strides = tuple(attributes.get("strides", (1, 1)))
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if attributes.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        return strides, inputs, "same"
    given = (top, bottom), (left, right)
    if given == tuple(map(_same_padding, inputs.shape[1:3], strides, window)) and any(map(any, given)):
        return strides, inputs, "same"
    if any(map(any, given)):
        inputs = layers.ZeroPadding2D(((top, bottom), (left, right)))(inputs)
    return strides, inputs, "valid"


def _same_padding(size: int, stride: int, window: int) -> tuple[int, int]:
    """Return the padding on both sides of an axis for `same` in TensorFlow."""
    total = max(0, (-(-size // stride) - 1) * stride + window - size)
    return total // 2, total - total // 2


def _dense(attributes: Attributes, x: Value, kernel: np.ndarray, bias: np.ndarray | None = None) -> Value:
    kernel = kernel.T if attributes.get("transB") else kernel
    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None)
    outputs = layer(x.tensor)
    layer.set_weights([kernel] if bias is None else [kernel, bias.reshape(-1)])
    return Value(outputs)


def _elementwise(compute: Callable[..., Any]) -> Callable[..., Operand]:
    """Apply a function to tensors, all with the same order of axes, or to constants."""

    def apply(attributes: Attributes, *operands: Operand) -> Operand:
        if all(isinstance(operand, np.ndarray) for operand in operands):
            return np.asarray(ops.convert_to_numpy(compute(*operands)))
        last = any(isinstance(operand, Value) and operand.channels_last for operand in operands)
        return Value(compute(*(_with_order(operand, last) for operand in operands)), channels_last=last)

    return apply


def _with_order(operand: Operand, channels_last: bool) -> keras.KerasTensor | np.ndarray:
    if isinstance(operand, Value):
        return operand.with_channels_last() if channels_last else operand.tensor
    if channels_last and operand.ndim >= 3:
        return np.moveaxis(operand, -3, -1)
    return operand


def _clip(attributes: Attributes, x: Value, low: np.ndarray, high: np.ndarray) -> Value:
    return Value(ops.clip(x.tensor, float(low), float(high)), channels_last=x.channels_last)


def _mean(attributes: Attributes, x: Value, axes: np.ndarray | None = None) -> Value:
    chosen = attributes["axes"] if axes is None else axes.tolist()
    return Value(ops.mean(x.as_in_onnx(), axis=tuple(chosen), keepdims=bool(attributes.get("keepdims", 1))))


def _global_average(attributes: Attributes, x: Value) -> Value:
    return Value(ops.mean(x.with_channels_last(), axis=(1, 2), keepdims=True), channels_last=True)


def _max_pool(attributes: Attributes, x: Value) -> Value:
    inputs, window = x.with_channels_last(), tuple(attributes["kernel_shape"])
    strides, inputs, padding = _padded(attributes, inputs, window)  # after a ReLU, zeros do not change the maximum
    return Value(layers.MaxPooling2D(window, strides, padding)(inputs), channels_last=True)


def _average_pool(attributes: Attributes, x: Value) -> Value:
    strides, inputs, padding = _padded(attributes, x.with_channels_last(), tuple(attributes["kernel_shape"]))
    return Value(
        layers.AveragePooling2D(tuple(attributes["kernel_shape"]), strides, padding)(inputs), channels_last=True
    )


def _reshape(attributes: Attributes, x: Operand, shape: np.ndarray) -> Operand:
    if isinstance(x, np.ndarray):
        return x.reshape(shape.tolist())
    return Value(layers.Reshape(shape.tolist()[1:])(x.as_in_onnx()))


def _squeeze(attributes: Attributes, x: Operand, axes: np.ndarray | None = None) -> Operand:
    chosen = tuple(attributes["axes"] if axes is None else axes.tolist())
    if isinstance(x, np.ndarray):
        return np.squeeze(x, chosen)
    return Value(ops.squeeze(x.as_in_onnx(), chosen))


def _transpose(attributes: Attributes, x: Operand) -> Operand:
    if isinstance(x, np.ndarray):
        return x.transpose(attributes["perm"])
    if x.channels_last and tuple(attributes["perm"]) == (0, 2, 3, 1):
        return Value(x.tensor)
    if not x.channels_last and tuple(attributes["perm"]) == (0, 3, 1, 2):
        return Value(x.tensor, channels_last=True)
    return Value(ops.transpose(x.as_in_onnx(), attributes["perm"]))


def _dequantized(attributes: Attributes, x: Operand, scale: np.ndarray, zero: np.ndarray | None = None) -> Operand:
    if isinstance(x, Value):
        return x
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[attributes.get("axis", 1)] = scale.size
    offset = 0 if zero is None else zero.astype(np.float32).reshape(shape)
    return ((x.astype(np.float32) - offset) * scale.reshape(shape)).astype(np.float32)


def _unchanged(attributes: Attributes, x: Operand, *settings: Operand) -> Operand:
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float16 else x


def _normalized(
    attributes: Attributes, x: Value, scale: np.ndarray, offset: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> Value:
    factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return Value(x.with_channels_last() * factor + (offset - mean * factor), channels_last=True)


OPERATIONS: dict[str, Callable[..., Operand]] = {
    "Add": _elementwise(ops.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _normalized,
    "Cast": _unchanged,
    "Clip": _clip,
    "Conv": _convolution,
    "DequantizeLinear": _dequantized,
    "Div": _elementwise(ops.divide),
    "Gemm": _dense,
    "GlobalAveragePool": _global_average,
    "Identity": _unchanged,
    "MatMul": _dense,
    "MaxPool": _max_pool,
    "Mul": _elementwise(ops.multiply),
    "Neg": _elementwise(ops.negative),
    "QuantizeLinear": _unchanged,
    "Reciprocal": _elementwise(ops.reciprocal),
    "ReduceMean": _mean,
    "Relu": _elementwise(ops.relu),
    "Reshape": _reshape,
    "Sigmoid": _elementwise(ops.sigmoid),
    "Sqrt": _elementwise(ops.sqrt),
    "Squeeze": _squeeze,
    "Sub": _elementwise(ops.subtract),
    "Transpose": _transpose,
}
