"""Faces per second and single-face latency: ferlab's own model against mini-Xception.

mini-Xception is what `fer`, `human` and `paz` run: 58,423 parameters on pictures of 64x64
(https://arxiv.org/abs/1710.07557), built here with random weights, for speed does not depend on them. It runs by
Keras's `predict`, as those packages run it, and by ONNX Runtime. All sides get two threads, take turns in one process,
and answer batches of 128 and single faces already cut out and scaled.

The peak is what one large matrix product reaches on the same two threads, in float32 or, for an 8-bit model, in 8 bits,
by ONNX Runtime; the share of it counts the multiply-adds of convolutions and dense layers alone.

    python benchmarks/inference.py --json inference.json
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from machine import report

from ferlab.export.latency import call_seconds

THREADS = 2
BATCH = 128
FACES = 1280
PRODUCT = 2048  # rows and columns of the matrices whose product gives the peak


def main() -> None:
    """Parses the arguments, and measures all sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="an .onnx artifact (default: the one in the package)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    parser.add_argument("--single", type=int, default=200, help="single faces in each turn (default: 200)")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    arguments = parser.parse_args()
    sides, multiply_adds, bits = make_sides(arguments.model)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    latencies: dict[str, list[float]] = {name: [] for name in sides}
    peaks = []
    for _ in range(arguments.repeats):
        peaks.append(peak_rate(bits))
        for name, (classify, faces) in sides.items():
            rates[name].append(faces_per_second(classify, faces))
            number = arguments.single if name != "mini-Xception, Keras" else max(20, arguments.single // 10)
            latencies[name] += call_seconds(classify, islice(cycle(faces[:, None]), number), warm_up=5)
    rows = {f"{name}: faces/s": statistics.median(values) for name, values in rates.items()}
    for name, values in latencies.items():
        rows[f"{name}: p50 ms"] = 1000 * float(np.percentile(values, 50))
        rows[f"{name}: p99 ms"] = 1000 * float(np.percentile(values, 99))
    rows[f"peak, {bits} bits: G multiply-adds/s"] = statistics.median(peaks) / 1e9
    ours, keras_side, onnx_side = sides
    ratios = {
        "batches: ferlab / Keras": rows[f"{ours}: faces/s"] / rows[f"{keras_side}: faces/s"],
        "batches: ferlab / ONNX Runtime": rows[f"{ours}: faces/s"] / rows[f"{onnx_side}: faces/s"],
        "single: Keras / ferlab": rows[f"{keras_side}: p50 ms"] / rows[f"{ours}: p50 ms"],
        "single: ONNX Runtime / ferlab": rows[f"{onnx_side}: p50 ms"] / rows[f"{ours}: p50 ms"],
    }
    if multiply_adds:
        ratios["share of the peak"] = rows[f"{ours}: faces/s"] * multiply_adds / statistics.median(peaks)
    report("inference", rows, "", ratios, arguments.json)


Side = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]


def make_sides(model: str) -> tuple[dict[str, Side], int | None, int]:
    """The sides by name, with faces of their form; multiply-adds of a face, if known, and bits of our model."""
    import os

    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    from ferlab.predict import Artifact
    from ferlab.recipes.model_stats import load_model_stats

    generator = np.random.default_rng(0)
    artifact = Artifact(model, threads=THREADS)
    bits = 8 if b"QuantizeLinear" in artifact.path.read_bytes() else 32
    small = generator.integers(0, 256, (FACES, 48, 48), dtype=np.uint8)
    large = generator.uniform(-1, 1, (FACES, 64, 64, 1)).astype(np.float32)
    peer = mini_xception()
    session = as_onnx(peer)

    def by_keras(faces: np.ndarray) -> np.ndarray:
        return peer.predict(faces, batch_size=BATCH, verbose=0)

    def by_onnx(faces: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [session.run(None, {"images": faces[at : at + BATCH]})[0] for at in range(0, len(faces), BATCH)]
        )

    name = f"ferlab, {artifact.metadata['name']}"
    sides = {
        name: (artifact.probabilities, small),
        "mini-Xception, Keras": (by_keras, large),
        "mini-Xception, ONNX Runtime": (by_onnx, large),
    }
    stats = load_model_stats().get(artifact.metadata["name"])
    return sides, stats and stats.multiply_adds, bits


def mini_xception() -> "keras.Model":  # noqa: F821
    """The published shape, with its 58,423 parameters."""
    import keras
    from keras import layers

    def normalized(x, layer):
        return layers.BatchNormalization()(layer(x))

    x = images = keras.Input((64, 64, 1), name="images")
    for _ in range(2):
        x = layers.ReLU()(normalized(x, layers.Conv2D(8, 3, use_bias=False)))
    for filters in (16, 32, 64, 128):
        shortcut = normalized(x, layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False))
        x = layers.ReLU()(normalized(x, layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)))
        x = normalized(x, layers.SeparableConv2D(filters, 3, padding="same", use_bias=False))
        x = layers.Add()([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(7, 3, padding="same")(x))
    model = keras.Model(images, layers.Softmax()(x))
    assert model.count_params() == 58_423
    return model


def as_onnx(model: "keras.Model") -> "onnxruntime.InferenceSession":  # noqa: F821
    """The same network by ONNX Runtime, exported by Keras."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    model(np.zeros((1, 64, 64, 1), np.float32))  # Keras exports only what was called once
    with tempfile.TemporaryDirectory() as folder:
        model.export(f"{folder}/peer.onnx", format="onnx", verbose=False)
        return onnxruntime.InferenceSession(f"{folder}/peer.onnx", options, providers=["CPUExecutionProvider"])


def faces_per_second(classify: Callable[[np.ndarray], np.ndarray], faces: np.ndarray) -> float:
    """The rate over all faces, in batches, after one batch that is not counted."""
    classify(faces[:BATCH])
    started = time.perf_counter()
    classify(faces)
    return len(faces) / (time.perf_counter() - started)


def peak_rate(bits: int) -> float:
    """Multiply-adds per second of one large matrix product."""
    import onnxruntime
    from onnx import TensorProto, helper

    kind, element = ("MatMulInteger", TensorProto.UINT8) if bits == 8 else ("MatMul", TensorProto.FLOAT)
    result = TensorProto.INT32 if bits == 8 else TensorProto.FLOAT
    dtype, weights_element = (np.uint8, TensorProto.INT8) if bits == 8 else (np.float32, TensorProto.FLOAT)
    weights = np.ones((PRODUCT, PRODUCT), np.int8 if bits == 8 else np.float32)
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", element, [PRODUCT, PRODUCT])],
        [helper.make_tensor_value_info("c", result, [PRODUCT, PRODUCT])],
        [helper.make_tensor("b", weights_element, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    a = np.ones((PRODUCT, PRODUCT), dtype)
    session.run(None, {"a": a})
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        session.run(None, {"a": a})
        best = min(best, time.perf_counter() - started)
    return PRODUCT**3 / best


if __name__ == "__main__":
    main()
