"""Export: a trained run becomes an artefact, one ONNX file that says all about itself.

The file is checked against the Keras model on real images before it is there at all.
"""

import contextlib
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.errors import ArtefactError, MissingExtraError, ProtocolError, RunError
from ferlab.files import write_atomically
from ferlab.metrics import accuracy, fit_temperature, log_softmax
from ferlab.models import predict_logits
from ferlab.predict.artefact import METADATA, SCHEMA, Artefact, digest
from ferlab.predict.crops import MARGIN
from ferlab.protocol import calibration_images
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras
    import onnx

Quantize = Literal["none", "float16", "int8"]
# The largest difference of a probability from Keras's that is passed; of int8, accuracy alone is asked.
TOLERANCES = {"none": 1e-3, "float16": 2e-2, "int8": 1.0}
ACCURACY_TOLERANCE = 0.002  # of accuracy lost, 0..1
CALIBRATION_IMAGES = 2048
CALIBRATION_PERCENTILE = 99.99  # of the values seen, that the range of 8 bits covers
HALF_FROM = 64  # values of a tensor from which it is worth storing as float16
LICENCES = {
    "code and weights": "Apache-2.0",
    "data": "FER2013: for research, under the terms of https://www.kaggle.com/datasets/msambare/fer2013",
}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How an artefact's answers on validation images differ from those of the Keras model.

    Args:
        images: how many were compared.
        largest_difference: of a probability, 0..1.
        changed: share of images with another most probable class, 0..1.
        keras_accuracy: 0..1.
        accuracy: of the artefact, 0..1.
    """

    images: int
    largest_difference: float
    changed: float
    keras_accuracy: float
    accuracy: float


def export(run: str | Path | RunFolder, dataset: Dataset, out: str | Path, *, quantize: Quantize = "none") -> Parity:
    """Writes the artefact of a run, calibrated on validation and checked there against the Keras model.

    Args:
        run: a finished run folder.
        dataset: the one that the run was trained on, with its validation split; for `int8`, the training split too.
        out: the `.onnx` file.
        quantize: `none`; `float16` for weights of half the size, with all arithmetic still in float32; or `int8` for
            8-bit weights and activations, each channel with its own scale, from the ranges seen on training images.

    Returns:
        What the check found.

    Raises:
        ProtocolError: if the validation images are missing, or others than those of the run.
        RunError: if the folder holds no trained model.
        ArtefactError: if the file's answers differ too much from Keras's. No file is left.
    """
    from ferlab.backend import start_keras

    run = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    if not run.model_file.is_file():
        raise RunError(f"{run.path} holds no trained model (model.keras). Train it first, or go on with --resume.")
    if start_keras() != "tensorflow":
        raise ArtefactError("Keras exports ONNX by TensorFlow alone: set KERAS_BACKEND=tensorflow.")
    import keras

    validation = calibration_images(dataset, run.dataset()["splits"])
    if validation.fingerprints != {"validation": _fingerprint(run, "validation")}:
        raise ProtocolError(
            f"The validation images of {dataset.source} are not those of {run.path}, for which the artefact's accuracy "
            "and calibration are to stand. Give the data that the run was trained on."
        )
    model = keras.models.load_model(run.model_file, compile=False)
    logits = predict_logits(model, validation.images)
    temperature = fit_temperature(validation.labels, logits)
    graph = _to_onnx(model, temperature)
    if quantize == "float16":
        _halve(graph)
    elif quantize == "int8":
        graph = _quantized(graph, dataset.require(Split.TRAIN).images)
    expected = np.exp(log_softmax(logits / temperature))
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / "candidate.onnx"
        candidate.write_bytes(_described(graph, run, temperature, accuracy=0.0))
        found = Artefact(candidate).probabilities(validation.images)
    parity = _compare(expected, found, validation.labels)
    _refuse_if_different(parity, quantize)
    content = _described(graph, run, temperature, parity.accuracy)
    write_atomically(Path(out), lambda file: file.write(content))
    return parity


def _to_onnx(model: "keras.Model", temperature: float) -> "onnx.ModelProto":
    """The model with its softmax, as Keras exports it, with the contract's names of input and output."""
    try:
        import onnx
        import tf2onnx  # noqa: F401  # Keras's exporter needs it
    except ImportError as error:
        raise MissingExtraError("train", str(error.name)) from None
    import keras

    images = keras.Input((48, 48, 1), name="images")
    scaled = keras.layers.Rescaling(1 / temperature)(model(images))
    whole = keras.Model(images, keras.layers.Softmax(name="probabilities")(scaled))
    whole(np.zeros((1, 48, 48, 1), np.float32))  # a functional model must have been called before it is exported
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for np.object
        file = Path(folder) / "model.onnx"
        whole.export(file, format="onnx", verbose=False)
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
    """The graph in 8 bits by ONNX Runtime's quantiser, with ranges from some training images."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    chosen = np.random.default_rng(0).permutation(len(images))[:CALIBRATION_IMAGES]

    class Reader(CalibrationDataReader):
        batches: Iterator[dict[str, np.ndarray]] = (
            {"images": part[..., None].astype(np.float32)} for part in np.array_split(images[chosen], 8)
        )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (str(Path(folder) / name) for name in ("plain.onnx", "prepared.onnx", "small.onnx"))
        onnx.save(graph, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        with contextlib.redirect_stdout(sys.stderr):
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
                extra_options={"CalibPercentile": CALIBRATION_PERCENTILE},
            )
        return onnx.load(small)


def _described(graph: "onnx.ModelProto", run: RunFolder, temperature: float, accuracy: float) -> bytes:
    """The file's content, with all metadata and its own hash."""
    import onnx

    import ferlab

    result = run.result() or {}
    selected_on = str(result["selected_on"]).split("+")
    values = {
        "schema": SCHEMA,
        "name": result["recipe"],
        "class_names": run.dataset()["class_names"],
        "crop_margin": MARGIN,
        "temperature": temperature,
        "protocol": {"trained_on": "train", "selected_on": result["selected_on"], "seed": result["seed"]},
        "fingerprints": {name: _fingerprint(run, name) for name in ("train", *selected_on)},
        "accuracy": {"validation": accuracy},
        "licences": LICENCES,
        "ferlab": ferlab.__version__,
        "sha256": "0" * 64,
    }
    assert values.keys() == METADATA.keys()
    described = onnx.ModelProto()
    described.CopyFrom(graph)
    onnx.helper.set_model_props(described, {key: json.dumps(value) for key, value in values.items()})
    content = described.SerializeToString()
    return content.replace(b"0" * 64, digest(content, "0" * 64).encode())


def _fingerprint(run: RunFolder, split: str) -> str | None:
    """Of a split that the run was trained with; None where that had no images."""
    return run.dataset()["splits"].get(split, {}).get("fingerprint")


def _compare(expected: np.ndarray, found: np.ndarray, labels: np.ndarray) -> Parity:
    return Parity(
        images=len(labels),
        largest_difference=float(np.abs(expected - found).max()),
        changed=float(np.mean(expected.argmax(axis=1) != found.argmax(axis=1))),
        keras_accuracy=accuracy(labels, expected),
        accuracy=accuracy(labels, found),
    )


def _refuse_if_different(parity: Parity, quantize: Quantize) -> None:
    lost = parity.keras_accuracy - parity.accuracy
    if parity.largest_difference > TOLERANCES[quantize] or lost > ACCURACY_TOLERANCE:
        raise ArtefactError(
            f"The exported model ({quantize}) answers otherwise than Keras: probabilities differ by up to "
            f"{parity.largest_difference:.2g}, {100 * parity.changed:.1f} % of {parity.images} images get another "
            f"class, and {100 * lost:.2f} points of accuracy are lost. No file was written. Try --quantize none."
        )
