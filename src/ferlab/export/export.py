"""From a run folder to a file that is calibrated, checked and complete."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ferlab.backend import quiet_start, start_keras
from ferlab.data import Dataset
from ferlab.errors import ArtifactError, ProtocolError
from ferlab.evaluation.metrics import fit_temperature
from ferlab.export import litert, onnx
from ferlab.export.parity import Parity, Quantize, check_parity, refuse_if_different
from ferlab.files import write_atomically
from ferlab.images.crop import CROP_MARGIN
from ferlab.models import load_model, predict_logits
from ferlab.predict.artifact import METADATA, SCHEMA, Artifact, digest
from ferlab.protocol import calibration_images
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras

Format = Literal["onnx", "litert"]
FORMATS: dict[Format, ModuleType] = {"onnx": onnx, "litert": litert}
LICENSES = {
    "code and weights": "Apache-2.0",
    "data": "those of its training images; FER2013's: for research, under the terms of "
    "https://www.kaggle.com/datasets/msambare/fer2013",
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
    """Writes the artifact of a run, calibrated on validation and checked there against the Keras model.

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
        ArtifactError: if the file's name does not fit the format, the model cannot be converted, or the file's answers
            differ from Keras's by more than `TOLERANCES`. No file is left.
    """
    out, run = Path(out), run if isinstance(run, RunFolder) else RunFolder(Path(run))
    module = format_module(out, format)
    validation = validation_of(run, dataset)
    model = load_model(run.model_file)
    logits = predict_logits(model, validation.images)
    trained = Trained(
        model=model,
        logits=logits,
        temperature=fit_temperature(validation.labels, logits),
        metadata=run_metadata(run),
    )
    return write_artifact(trained, validation, dataset, out, module, quantize)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a file is made of.

    Args:
        model: from images `(N, 48, 48, 1)` to logits.
        logits: `(N, K)` float32, its answers to the validation images.
        temperature: by which they are to be divided.
        metadata: the keys of `METADATA` that tell where the model comes from.
    """

    model: "keras.Model"
    logits: np.ndarray
    temperature: float
    metadata: Mapping[str, Any]


def write_artifact(
    trained: Trained, validation: Dataset, dataset: Dataset, out: Path, module: ModuleType, quantize: Quantize
) -> Parity:
    """Writes a file, if its answers to the validation images are those of the Keras model. Args as in `export`."""
    network = module.convert(_with_softmax(trained.model, trained.temperature), quantize, dataset)
    with tempfile.TemporaryDirectory() as folder:
        candidate = (Path(folder) / "candidate").with_suffix(module.SUFFIX)
        candidate.write_bytes(_described(module, network, _metadata(trained, accuracy=0.0)))
        with quiet_start():
            artifact = Artifact(candidate)
        parity = check_parity(trained.model, trained.logits, trained.temperature, artifact, validation)
    refuse_if_different(parity, quantize)
    content = _described(module, network, _metadata(trained, parity.accuracy))
    write_atomically(out, lambda file: file.write(content))
    return parity


def format_module(out: Path, format: Format | None) -> ModuleType:
    """The module of a format, of which the file's name must be, ready to convert.

    Raises:
        ArtifactError: if the name is of no format, or the backend is another than TensorFlow.
    """
    of_name = {module.SUFFIX: module for module in FORMATS.values()}
    module = FORMATS[format] if format else of_name.get(out.suffix)
    if module is None:
        raise ArtifactError(f"The name {out} does not tell the format. Let it end in {' or '.join(of_name)}.")
    if out.suffix != module.SUFFIX:
        raise ArtifactError(f"A file of the format {format} ends in {module.SUFFIX}, and {out.name} does not.")
    if start_keras() != "tensorflow":
        raise ArtifactError("Keras exports by TensorFlow alone: set KERAS_BACKEND=tensorflow.")
    return module


def validation_of(run: RunFolder, dataset: Dataset) -> Dataset:
    """The validation images of a trained run, on which its artifact is calibrated and checked.

    Raises:
        ProtocolError: if `dataset` has others, or other classes, which are not told by fingerprints.
        RunError: if there is no trained model.
    """
    run.trained_result()
    validation = calibration_images(dataset, run.dataset()["splits"])
    if (wanted := tuple(run.dataset()["class_names"])) != dataset.class_names:
        raise ProtocolError(
            f"{run.path} tells apart {', '.join(wanted)}, and {dataset.source} has {', '.join(dataset.class_names)}. "
            "Give the data that the run was trained on."
        )
    if validation.fingerprints != {"validation": run.fingerprints().get("validation")}:
        raise ProtocolError(
            f"The validation images of {dataset.source} are not those of {run.path}, for which the artifact's accuracy "
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


def run_metadata(run: RunFolder) -> dict[str, Any]:
    """Where the model of a run comes from."""
    result = run.trained_result()
    selected_on = str(result["selected_on"]).split("+")
    protocol = {"trained_on": "train", "selected_on": result["selected_on"], "seed": result["seed"]}
    return {
        "name": result["recipe"],
        "class_names": run.dataset()["class_names"],
        "protocol": protocol | taught_by(run),
        "fingerprints": {name: run.fingerprints().get(name) for name in ("train", *selected_on)},
    }


def taught_by(run: RunFolder) -> dict[str, Any]:
    """What a run learned from besides labels: the shares of votes and of teachers, and their names."""
    recipe = run.recipe()
    shares = {"votes": recipe.votes, "distillation": recipe.distillation}
    teachers = {"teachers": [Path(teacher).name for teacher in recipe.teachers]} if recipe.teachers else {}
    return {name: share for name, share in shares.items() if share} | teachers


def _metadata(trained: Trained, accuracy: float) -> dict[str, Any]:
    """All that the file says of itself, with its hash left open."""
    import ferlab

    return {
        **trained.metadata,
        "schema": SCHEMA,
        "crop_margin": CROP_MARGIN,
        "temperature": trained.temperature,
        "accuracy": {"validation": accuracy},
        "licenses": LICENSES,
        "ferlab": ferlab.__version__,
        "sha256": NO_HASH,
    }
