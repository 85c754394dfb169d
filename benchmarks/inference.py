"""Throughput and single-face latency of ferlab's own model, compared to mini-Xception.

mini-Xception is the model of `fer`, `human` and `paz`: 58,423 parameters, 64x64 pixels
(https://arxiv.org/abs/1710.07557). It is built here with random weights, which do not affect its speed, and runs with
Keras's `predict`, as in those packages, and with ONNX Runtime. All sides use two threads, alternate in one process, and
predict batches of 128 and single faces that are already cropped and resized.

The peak is the rate of one large matrix product in ONNX Runtime on the same two threads, in float32, or in 8 bits for
an 8-bit model. The share of the peak counts the multiply-adds of convolutions and dense layers only.

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
PRODUCT = 2048  # rows and columns of the matrices in the product


def main() -> None:
    """Parse the arguments, alternate between all sides, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help=".onnx artifact (default: the default network)")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions (default: 5)")
    parser.add_argument("--single", type=int, default=200, help="single faces per repetition (default: 200)")
    parser.add_argument("--json", type=Path, help="output JSON file")
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
    rows, ratios = summarize(rates, latencies, statistics.median(peaks), multiply_adds)
    report("inference", rows, "", ratios, arguments.json)


Side = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]


def make_sides(model: str) -> tuple[dict[str, Side], int | None, int]:
    """Return the sides by name with their input, the multiply-adds per face if known, and the bits of our weights."""
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
    baseline = mini_xception()
    session = as_onnx(baseline)

    def by_keras(faces: np.ndarray) -> np.ndarray:
        return baseline.predict(faces, batch_size=BATCH, verbose=0)

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


def summarize(
    rates: dict[str, list[float]], latencies: dict[str, list[float]], peak: float, multiply_adds: int | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the rows of the table, and the ratios of our model to both baselines."""
    rows = {f"{name}: faces/s": statistics.median(values) for name, values in rates.items()}
    for name, values in latencies.items():
        rows[f"{name}: p50 ms"] = 1000 * float(np.percentile(values, 50))
        rows[f"{name}: p99 ms"] = 1000 * float(np.percentile(values, 99))
    rows["peak, G multiply-adds/s"] = peak / 1e9
    ours, keras_side, onnx_side = rates
    ratios = {
        "batches: ferlab / Keras": rows[f"{ours}: faces/s"] / rows[f"{keras_side}: faces/s"],
        "batches: ferlab / ONNX Runtime": rows[f"{ours}: faces/s"] / rows[f"{onnx_side}: faces/s"],
        "single: Keras / ferlab": rows[f"{keras_side}: p50 ms"] / rows[f"{ours}: p50 ms"],
        "single: ONNX Runtime / ferlab": rows[f"{onnx_side}: p50 ms"] / rows[f"{ours}: p50 ms"],
    }
    if multiply_adds:
        ratios["share of the peak"] = rows[f"{ours}: faces/s"] * multiply_adds / peak
    return rows, ratios


def mini_xception() -> "keras.Model":  # noqa: F821
    """Build the published architecture with 58,423 parameters."""
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
    """Export a Keras model to ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    model(np.zeros((1, 64, 64, 1), np.float32))  # Keras can export a model only after a call
    with tempfile.TemporaryDirectory() as folder:
        model.export(f"{folder}/mini_xception.onnx", format="onnx", verbose=False)
        return onnxruntime.InferenceSession(f"{folder}/mini_xception.onnx", options, providers=["CPUExecutionProvider"])


def faces_per_second(classify: Callable[[np.ndarray], np.ndarray], faces: np.ndarray) -> float:
    """Measure the throughput in batches, after one warm-up batch."""
    classify(faces[:BATCH])
    started = time.perf_counter()
    classify(faces)
    return len(faces) / (time.perf_counter() - started)


def peak_rate(bits: int) -> float:
    """Measure the multiply-adds per second of one large matrix product, in 8 or 32 bits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(matrix_product(bits), options, providers=["CPUExecutionProvider"])
    a = np.ones((PRODUCT, PRODUCT), np.uint8 if bits == 8 else np.float32)
    return PRODUCT**3 / min(call_seconds(lambda matrix: session.run(None, {"a": matrix}), [a] * 5, warm_up=1))


def matrix_product(bits: int) -> bytes:
    """Build an ONNX model that multiplies its input `a` by a constant matrix."""
    from onnx import TensorProto, helper

    if bits == 8:
        operator, element, weight_type, result = "MatMulInteger", TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
    else:
        operator, element, weight_type, result = "MatMul", *[TensorProto.FLOAT] * 3
    weights = np.ones((PRODUCT, PRODUCT), np.int8 if bits == 8 else np.float32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", element, [PRODUCT, PRODUCT])],
        [helper.make_tensor_value_info("c", result, [PRODUCT, PRODUCT])],
        [helper.make_tensor("b", weight_type, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


if __name__ == "__main__":
    main()
