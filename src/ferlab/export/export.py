"""Export a run as an artifact: calibrated, compared with Keras, and complete with metadata."""

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
from ferlab.evaluation.trained_model import Provenance, open_model
from ferlab.export import litert, onnx
from ferlab.export.parity import Parity, Quantize, check_parity, require_parity
from ferlab.files import write_atomically
from ferlab.images.crop import CROP_MARGIN
from ferlab.models import predict_logits
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
    "https://www.kaggle.com/datasets/msambare/fer2013; the votes of FER+: MIT",
}
NO_HASH = "0" * 64


@dataclass(frozen=True, kw_only=True)
class CalibratedModel:
    """A Keras model, ready to be converted.

    Args:
        model: maps images `(N, 48, 48, 1)` to logits.
        logits: `(N, K)` float32, of the validation images.
        temperature: divides the logits.
        name: name of the recipe.
        provenance: the data that the model was trained and selected on.
        training: other facts about the training, for the metadata: seed and teachers, or members of an ensemble.
    """

    model: "keras.Model"
    logits: np.ndarray
    temperature: float
    name: str
    provenance: Provenance
    training: Mapping[str, Any]


def export(
    run: str | Path | RunFolder,
    dataset: Dataset,
    out: str | Path,
    *,
    format: Format | None = None,
    quantize: Quantize = "none",
) -> Parity:
    """Export a run as an artifact, calibrated on the validation images and compared with Keras there.

    Args:
        run: a finished run folder.
        dataset: the data of the run, with its validation split. `int8` also needs the training split.
        out: the output file: `.onnx`, or `.tflite` for LiteRT.
        format: `onnx` or `litert`. None derives it from the file name.
        quantize: `none`; `float16`, which stores weights in 16 bits and computes in float32; or `int8`, which uses
            8-bit weights and activations with one scale per channel, from value ranges of training images.

    Returns:
        How far the artifact's predictions deviate from those of Keras.

    Raises:
        ProtocolError: if the validation images are missing, or are not those of the run.
        RunError: if the folder contains no trained model.
        ArtifactError: if the file name does not match the format, the model cannot be converted, or the predictions
            deviate from those of Keras by more than `TOLERANCES`. No file is written.
    """
    out, run = Path(out), run if isinstance(run, RunFolder) else RunFolder(Path(run))
    module = format_module(out, format)
    validation = validation_images(run, dataset)
    opened = open_model(run.path)
    logits = predict_logits(opened.keras_model, validation.images)
    calibrated = CalibratedModel(
        model=opened.keras_model,
        logits=logits,
        temperature=fit_temperature(validation.labels, logits),
        name=run.trained_result().recipe,
        provenance=opened.provenance,
        training={"seed": run.trained_result().seed, **other_networks(run)},
    )
    return write_artifact(calibrated, validation, dataset, out, module, quantize)


def write_artifact(
    calibrated: CalibratedModel,
    validation: Dataset,
    dataset: Dataset,
    out: Path,
    module: ModuleType,
    quantize: Quantize,
) -> Parity:
    """Convert a model and write the artifact, if its predictions match. Arguments and errors as in `export`."""
    network = module.convert(_with_softmax(calibrated.model, calibrated.temperature), quantize, dataset)
    with tempfile.TemporaryDirectory() as folder:
        candidate = (Path(folder) / "candidate").with_suffix(module.SUFFIX)
        candidate.write_bytes(_sign(module, network, _metadata(calibrated, accuracy=0.0)))
        with quiet_start():
            artifact = Artifact(candidate)
        parity = check_parity(calibrated.model, calibrated.logits, calibrated.temperature, artifact, validation)
    require_parity(parity, quantize)
    content = _sign(module, network, _metadata(calibrated, parity.accuracy))
    write_atomically(out, lambda file: file.write(content))
    return parity


def format_module(out: Path, format: Format | None) -> ModuleType:
    """Return the module of a format, and start Keras.

    Raises:
        ArtifactError: if the file name does not match the format, or the backend is not TensorFlow.
    """
    by_suffix = {module.SUFFIX: module for module in FORMATS.values()}
    module = FORMATS[format] if format else by_suffix.get(out.suffix)
    if module is None:
        raise ArtifactError(
            f"The format cannot be derived from the file name {out}. Use the suffix {' or '.join(by_suffix)}."
        )
    if out.suffix != module.SUFFIX:
        raise ArtifactError(f"The file name of format {format} must end in {module.SUFFIX}, got {out.name}.")
    if start_keras() != "tensorflow":
        raise ArtifactError("Export needs the TensorFlow backend. Set KERAS_BACKEND=tensorflow.")
    return module


def validation_images(run: RunFolder, dataset: Dataset) -> Dataset:
    """Return the validation images of a trained run, to calibrate and compare its artifact on.

    Raises:
        ProtocolError: if `dataset` has different validation images or classes. Fingerprints do not contain the order
            of classes.
        RunError: if there is no trained model.
    """
    run.trained_result()
    validation = calibration_images(dataset, run.dataset())
    if (wanted := run.dataset().class_names) != dataset.class_names:
        raise ProtocolError(
            f"{run.path} was trained for the classes {', '.join(wanted)}, but {dataset.source} has "
            f"{', '.join(dataset.class_names)}. Pass the data that the run was trained on."
        )
    if validation.fingerprints != {"validation": run.fingerprints().get("validation")}:
        raise ProtocolError(
            f"The validation images of {dataset.source} are not those of {run.path}, and the artifact's calibration "
            "and accuracy refer to these. Pass the data that the run was trained on."
        )
    return validation


def other_networks(run: RunFolder) -> dict[str, Any]:
    """Return the networks that a run learned from: the one it started from, and its teachers."""
    recipe = run.recipe()
    facts: dict[str, Any] = {"start": Path(recipe.start).name} if recipe.start else {}
    if recipe.teachers:
        facts |= {"distillation": recipe.distillation, "teachers": [Path(teacher).name for teacher in recipe.teachers]}
    return facts


def _with_softmax(model: "keras.Model", temperature: float) -> "keras.Model":
    """Wrap a model of logits: from `images` to `probabilities`, the names of the artifact contract."""
    import keras

    images = keras.Input((48, 48, 1), name="images")
    scaled = keras.layers.Rescaling(1 / temperature)(model(images))
    whole = keras.Model(images, {"probabilities": keras.layers.Softmax(name="probabilities")(scaled)})
    whole(np.zeros((1, 48, 48, 1), np.float32))  # a functional model must be called once before export
    return whole


def _metadata(calibrated: CalibratedModel, accuracy: float) -> dict[str, Any]:
    """Collect the metadata of an artifact, with a placeholder for its hash."""
    import ferlab

    provenance = calibrated.provenance
    selected_on = provenance.selected_on or ()
    return {
        "name": calibrated.name,
        "class_names": provenance.class_names,
        "target": provenance.target,
        "class_shares": provenance.class_shares,
        "protocol": {"trained_on": "train", "selected_on": selected_on, **calibrated.training},
        "fingerprints": {split: provenance.fingerprints.get(split) for split in ("train", *selected_on)},
        "schema": SCHEMA,
        "crop_margin": CROP_MARGIN,
        "temperature": calibrated.temperature,
        "accuracy": {"validation": accuracy},
        "licenses": LICENSES,
        "ferlab": ferlab.__version__,
        "sha256": NO_HASH,
    }


def _sign(module: ModuleType, network: bytes, metadata: dict[str, Any]) -> bytes:
    """Add metadata to a converted model, including the hash of the whole file."""
    assert metadata.keys() == METADATA.keys()
    content = module.add_metadata(network, {key: json.dumps(value) for key, value in metadata.items()})
    return content.replace(NO_HASH.encode(), digest(content, NO_HASH).encode())
