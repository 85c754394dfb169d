"""A small artifact with a linear model, for tests that need no trained model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ferlab.emotions import EMOTIONS
from ferlab.predict.artifact import SCHEMA, digest


def metadata(**changes: Any) -> dict[str, Any]:
    """Return complete metadata with changes. A value of None removes the key."""
    values = {
        "schema": SCHEMA,
        "name": "linear",
        "class_names": EMOTIONS,
        "target": None,
        "class_shares": None,
        "crop_margin": 0.0,
        "temperature": 1.0,
        "protocol": {},
        "fingerprints": {},
        "accuracy": {},
        "licenses": {},
        "ferlab": "0",
        "sha256": "0" * 64,
    }
    return {key: value for key, value in (values | changes).items() if value is not None or key not in changes}


def linear_artifact(path: Path, *, scale: float = 0.001, **changes: Any) -> np.ndarray:
    """Write an ONNX artifact that computes softmax(images @ weights).

    Args:
        path: the output file.
        scale: standard deviation of the random weights.
        changes: changes of the metadata.

    Returns:
        The weights `(2304, K)` float32.
    """
    stored = metadata(**changes)
    num_classes = len(stored.get("class_names", EMOTIONS))
    weights = np.random.default_rng(0).normal(0, scale, (48 * 48, num_classes)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 48, 48, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", num_classes])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    write_artifact(path, model, stored)
    onnx.checker.check_model(onnx.load(path))
    return weights


def endless_artifact(path: Path) -> None:
    """Write an ONNX artifact with a right hash that adds zero to its probabilities for centuries."""
    linear_artifact(path)
    model = onnx.load(path)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still_go_on"]),
            helper.make_node("Add", ["sum", "zero"], ["new_sum"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still_go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("new_sum", TensorProto.FLOAT, None),
        ],
    )
    graph = model.graph
    graph.node[-1].output[0] = "finite"
    graph.initializer.extend(
        [
            helper.make_tensor("steps", TensorProto.INT64, [], [2**62]),
            helper.make_tensor("true", TensorProto.BOOL, [], [True]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ]
    )
    graph.node.append(helper.make_node("Loop", ["steps", "true", "finite"], ["probabilities"], body=body))
    write_artifact(path, model, metadata())


def write_artifact(path: Path, model: onnx.ModelProto, stored: dict[str, Any]) -> None:
    """Write a model with metadata, whose `sha256` is 64 zeros, and with its right hash."""
    helper.set_model_props(model, {key: json.dumps(value) for key, value in stored.items()})
    content = model.SerializeToString()
    path.write_bytes(content.replace(b"0" * 64, digest(content, "0" * 64).encode()))
