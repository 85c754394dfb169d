"""ONNX: the file that the package itself predicts with."""

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
CALIBRATION_BATCH = 32  # all activations of so many images are in memory at once
CALIBRATION_PERCENTILE = 99.99  # of the values seen, that the range of 8 bits covers
HALF_FROM = 64  # values of a tensor from which it is worth storing as float16


def convert(model: "keras.Model", quantize: str, dataset: Dataset) -> bytes:
    """Makes the content of a file without metadata.

    Args:
        model: from `images` `(N, 48, 48, 1)` float32 to `probabilities` `(N, K)`.
        quantize: `none`, `float16` or `int8`.
        dataset: its training images tell which values occur, for `int8` alone.
    """
    graph = _exported(model)
    if quantize == "float16":
        _halve(graph)
    elif quantize == "int8":
        graph = _quantized(graph, dataset.require(Split.TRAIN).images)
    return graph.SerializeToString()


def describe(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """The content with metadata, as properties of the model."""
    import onnx

    graph = onnx.load_from_string(content)
    onnx.helper.set_model_props(graph, dict(metadata))
    return graph.SerializeToString()


def _exported(model: "keras.Model") -> "onnx.ModelProto":
    """What Keras exports, with the contract's names of input and output."""
    try:
        import onnx
        import tf2onnx  # noqa: F401  # Keras's exporter needs it
    except ImportError as error:
        raise MissingExtraError("train", str(error.name)) from None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for np.object
        file = Path(folder) / "model.onnx"
        model.export(file, format="onnx", verbose=False)
        graph = onnx.load(file)
    _rename(graph, graph.graph.output[0].name, "probabilities")
    for value in (graph.graph.input[0], graph.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return graph


def _rename(graph: "onnx.ModelProto", old: str, new: str) -> None:
    graph.graph.output[0].name = new
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def _halve(graph: "onnx.ModelProto") -> None:
    """Stores large float32 tensors as float16, each cast back where the graph begins."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALF_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/half"))
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _quantized(graph: "onnx.ModelProto", images: np.ndarray) -> "onnx.ModelProto":
    """The graph in 8 bits by ONNX Runtime's quantizer, with ranges from some training images."""
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
        """The batches, a range of them at a time."""

        def __len__(self) -> int:
            return len(batches)

        def set_range(self, start_index: int, end_index: int) -> None:
            self.left = iter(batches[start_index:end_index])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.left, None)
            return None if batch is None else {"images": batch[..., None].astype(np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (str(Path(folder) / name) for name in ("plain.onnx", "prepared.onnx", "small.onnx"))
        onnx.save(graph, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for each batch
            quantize_static(
                prepared,
                small,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv"],
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": CALIBRATION_PERCENTILE, "CalibStridedMinMax": 1},
            )
        return onnx.load(small)
