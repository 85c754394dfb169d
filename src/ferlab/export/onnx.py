"""ONNX: the format that ferlab itself predicts with."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.errors import MissingExtraError

if TYPE_CHECKING:
    import keras
    import onnx

SUFFIX = ".onnx"
CALIBRATION_IMAGES = 2048
CALIBRATION_BATCH = 32  # the activations of a whole batch are in memory at once
CALIBRATION_PERCENTILE = 99.99  # of the observed values, covered by the 8-bit range
MIN_FLOAT16_SIZE = 64  # smaller tensors stay in float32


def convert(model: "keras.Model", quantize: str, dataset: Dataset) -> bytes:
    """Convert a model with Keras's exporter.

    Args:
        model: maps `images` `(N, 48, 48, 1)` float32 to `probabilities` `(N, K)`.
        quantize: `none`, `float16` or `int8`.
        dataset: for `int8`, its training images calibrate the value ranges.

    Returns:
        The content of an `.onnx` file without metadata.

    Raises:
        MissingExtraError: if the exporter is not installed.
    """
    graph = _export(model)
    if quantize == "float16":
        _store_as_float16(graph)
    elif quantize == "int8":
        graph = _quantize(graph, dataset.require(Split.TRAIN).images)
    return graph.SerializeToString()


def add_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Add metadata to a file's content, as properties of the model."""
    import onnx

    graph = onnx.load_from_string(content)
    onnx.helper.set_model_props(graph, dict(metadata))
    return graph.SerializeToString()


def _export(model: "keras.Model") -> "onnx.ModelProto":
    """Export with Keras, and set the names of the artifact contract."""
    try:
        import onnx
        import tf2onnx  # noqa: F401  # used by Keras's exporter
    except ImportError as error:
        raise MissingExtraError("train", str(error.name)) from None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras accesses np.object
        file = Path(folder) / "model.onnx"
        model.export(file, format="onnx", verbose=False)
        graph = onnx.load(file)
    _rename_output(graph, "probabilities")
    for value in (graph.graph.input[0], graph.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return graph


def _rename_output(graph: "onnx.ModelProto", new: str) -> None:
    old, graph.graph.output[0].name = graph.graph.output[0].name, new
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def _store_as_float16(graph: "onnx.ModelProto") -> None:
    """Store large float32 tensors as float16, and cast them back to float32 at the start of the graph."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < MIN_FLOAT16_SIZE:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/half"))
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _quantize(graph: "onnx.ModelProto", images: np.ndarray) -> "onnx.ModelProto":
    """Quantize convolutions to 8 bits with ONNX Runtime, with value ranges from training images."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    chosen = images[np.random.default_rng(0).permutation(len(images))[:CALIBRATION_IMAGES]]
    batches = [chosen[start : start + CALIBRATION_BATCH] for start in range(0, len(chosen), CALIBRATION_BATCH)]

    class Reader(CalibrationDataReader):
        """Supplies the batches, a range of them at a time."""

        def __len__(self) -> int:
            return len(batches)

        def set_range(self, start_index: int, end_index: int) -> None:
            self.remaining = iter(batches[start_index:end_index])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.remaining, None)
            return None if batch is None else {"images": batch[..., None].astype(np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        names = ("plain.onnx", "prepared.onnx", "quantized.onnx")
        plain, prepared, quantized = (str(Path(folder) / name) for name in names)
        onnx.save(graph, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        with contextlib.redirect_stdout(io.StringIO()):  # the quantizer prints a line per batch
            quantize_static(
                prepared,
                quantized,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv"],
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": CALIBRATION_PERCENTILE, "CalibStridedMinMax": 1},
            )
        return onnx.load(quantized)
