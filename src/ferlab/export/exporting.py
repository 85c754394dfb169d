"""From a run folder to a file that is calibrated, checked and complete."""

import json
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ferlab.backend import quiet_start, start_keras
from ferlab.data import Dataset
from ferlab.errors import ArtefactError, ProtocolError, RunError
from ferlab.export import to_litert, to_onnx
from ferlab.export.parity import Parity, Quantize, check_parity, refuse_if_different
from ferlab.files import write_atomically
from ferlab.metrics import fit_temperature
from ferlab.models import load_model, predict_logits
from ferlab.predict.artefact import METADATA, SCHEMA, Artefact, digest
from ferlab.predict.crops import MARGIN
from ferlab.protocol import calibration_images
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras

Format = Literal["onnx", "litert"]
FORMATS: dict[Format, ModuleType] = {"onnx": to_onnx, "litert": to_litert}
LICENCES = {
    "code and weights": "Apache-2.0",
    "data": "FER2013: for research, under the terms of https://www.kaggle.com/datasets/msambare/fer2013",
}
NO_HASH = "0" * 64


def export(
    run: str | Path | RunFolder,
    dataset: Dataset,
    out: str | Path,
    *,
    format: Format | None = None,
    quantize: Quantize = "none",
) -> Parity:
    """Writes the artefact of a run, calibrated on validation and checked there against the Keras model.

    Args:
        run: a finished run folder.
        dataset: the one that the run was trained on, with its validation split; for `int8`, the training split too.
        out: the file: `.onnx`, or `.tflite` for LiteRT.
        format: `onnx` or `litert`; None for the one that the file's name tells.
        quantize: `none`; `float16` for weights of half the size, with all arithmetic still in float32; or `int8` for
            8-bit weights and activations, each channel with its own scale, from the ranges seen on training images.

    Returns:
        What the check found.

    Raises:
        ProtocolError: if the validation images are missing, or others than those of the run.
        RunError: if the folder holds no trained model.
        ArtefactError: if the file's name does not fit the format, the model cannot be converted, or the file's answers
            differ from Keras's by more than `TOLERANCES`. No file is left.
    """
    out, run = Path(out), run if isinstance(run, RunFolder) else RunFolder(Path(run))
    module = _module(out, format)
    if not run.model_file.is_file():
        raise RunError(f"{run.path} holds no trained model (model.keras). Train it first, or go on with --resume.")
    if start_keras() != "tensorflow":
        raise ArtefactError("Keras exports by TensorFlow alone: set KERAS_BACKEND=tensorflow.")

    validation = _validation(run, dataset)
    model = load_model(run.model_file)
    logits = predict_logits(model, validation.images)
    temperature = fit_temperature(validation.labels, logits)
    network = module.convert(_with_softmax(model, temperature), quantize, dataset)
    with tempfile.TemporaryDirectory() as folder:
        candidate = (Path(folder) / "candidate").with_suffix(module.SUFFIX)
        candidate.write_bytes(_described(module, network, _metadata(run, temperature, accuracy=0.0)))
        with quiet_start():
            artefact = Artefact(candidate)
        parity = check_parity(model, logits, temperature, artefact, validation)
    refuse_if_different(parity, quantize)
    content = _described(module, network, _metadata(run, temperature, parity.accuracy))
    write_atomically(out, lambda file: file.write(content))
    return parity


def _module(out: Path, format: Format | None) -> ModuleType:
    """The module of a format, of which the file's name must be."""
    of_name = {module.SUFFIX: module for module in FORMATS.values()}
    module = FORMATS[format] if format else of_name.get(out.suffix)
    if module is None:
        raise ArtefactError(f"The name {out} does not tell the format. Let it end in {' or '.join(of_name)}.")
    if out.suffix != module.SUFFIX:
        raise ArtefactError(f"A file of the format {format} ends in {module.SUFFIX}, and {out.name} does not.")
    return module


def _validation(run: RunFolder, dataset: Dataset) -> Dataset:
    """The validation images of the run, on which its artefact is calibrated and checked."""
    validation = calibration_images(dataset, run.dataset()["splits"])
    if validation.fingerprints != {"validation": _fingerprint(run, "validation")}:
        raise ProtocolError(
            f"The validation images of {dataset.source} are not those of {run.path}, for which the artefact's accuracy "
            "and calibration are to stand. Give the data that the run was trained on."
        )
    return validation


def _with_softmax(model: "keras.Model", temperature: float) -> "keras.Model":
    """The model from `images` to `probabilities`, as the contract names them."""
    import keras

    images = keras.Input((48, 48, 1), name="images")
    scaled = keras.layers.Rescaling(1 / temperature)(model(images))
    whole = keras.Model(images, {"probabilities": keras.layers.Softmax(name="probabilities")(scaled)})
    whole(np.zeros((1, 48, 48, 1), np.float32))  # a functional model must have been called before it is exported
    return whole


def _described(module: ModuleType, network: bytes, metadata: dict[str, Any]) -> bytes:
    """The file's content, with all metadata and its own hash."""
    assert metadata.keys() == METADATA.keys()
    content = module.describe(network, {key: json.dumps(value) for key, value in metadata.items()})
    return content.replace(NO_HASH.encode(), digest(content, NO_HASH).encode())


def _metadata(run: RunFolder, temperature: float, accuracy: float) -> dict[str, Any]:
    """All that the file says of itself, with its hash left open."""
    import ferlab

    result = run.result() or {}
    selected_on = str(result["selected_on"]).split("+")
    return {
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
        "sha256": NO_HASH,
    }


def _fingerprint(run: RunFolder, split: str) -> str | None:
    """Of a split that the run was trained with; None where that had no images."""
    return run.dataset()["splits"].get(split, {}).get("fingerprint")
