"""A small ONNX model with the interface of YuNet, for tests where the real model file is not available."""

import numpy as np
import onnx
from onnx import TensorProto, helper

STRIDES = (8, 16, 32)  # pixels per cell of YuNet's three feature maps
CELL = 32  # pixels; the model detects bright cells of this size
LANDMARKS = (0.3, 0.4, 0.7, 0.4, 0.5, 0.6, 0.3, 0.8, 0.7, 0.8)  # x and y of each, as fractions of the cell


def bright_cell_detector() -> bytes:
    """Build an ONNX model that detects each white cell of a 32-pixel grid as a face.

    Inputs and outputs are those of YuNet: `cls`, `obj`, `bbox` and `kps` at three strides. The scores at strides 8 and
    16 are 0; at stride 32 they are the mean brightness of the cell.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    outputs: list[onnx.ValueInfoProto] = []
    for stride in STRIDES:
        pooled = f"pooled_{stride}"
        window = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(helper.make_node("AveragePool", ["input"], [pooled], **window))
        brightness = 1 / (3 * 255) if stride == CELL else 0
        for name, weight, bias in (
            ("cls", brightness, (0.0,)),
            ("obj", brightness, (0.0,)),
            ("bbox", 0.0, (0.5, 0.5, 0.0, 0.0)),  # center in cells, logarithm of the size in cells
            ("kps", 0.0, LANDMARKS),
        ):
            output = f"{name}_{stride}"
            kernel = np.full((len(bias), 3, 1, 1), weight, np.float32)
            weights.append(helper.make_tensor(f"{output}_w", TensorProto.FLOAT, kernel.shape, kernel.ravel()))
            weights.append(helper.make_tensor(f"{output}_b", TensorProto.FLOAT, [len(bias)], bias))
            nodes += [
                helper.make_node("Conv", [pooled, f"{output}_w", f"{output}_b"], [f"{output}_map"]),
                helper.make_node("Transpose", [f"{output}_map"], [f"{output}_last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{output}_last", f"{output}_shape"], [output]),
            ]
            weights.append(helper.make_tensor(f"{output}_shape", TensorProto.INT64, [3], [1, -1, len(bias)]))
            outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, None, len(bias)]))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "bright_cells", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
