"""`open_model`: open a trained model of any file format, with its provenance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ferlab.backend import quiet_start, start_keras
from ferlab.emotions import Target
from ferlab.errors import FerlabError, RunError
from ferlab.evaluation.metrics import softmax
from ferlab.files import exists, shown
from ferlab.predict.artifact import SUFFIXES, Artifact
from ferlab.predict.packaged import NAMES, packaged_file
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras

KINDS = f"a run folder, a .keras, .onnx or .tflite file, or a network in the package ({NAMES})"

Classifier = Callable[[np.ndarray], np.ndarray]  # images (N, 48, 48) uint8 to probabilities (N, K)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The data that a model was trained and selected on, as far as known. A `.keras` file contains no provenance.

    Args:
        class_names: K names, in the order of its outputs.
        target: what it learned from images of FER2013; None if unknown, or if it learned from other images.
        class_shares: shares of the classes in its training images, 0..1.
        selected_on: names of the splits that it was selected on.
        fingerprints: fingerprints of its training and selection splits, by name.
    """

    class_names: tuple[str, ...] | None = None
    target: Target | None = None
    class_shares: tuple[float, ...] | None = None
    selected_on: tuple[str, ...] | None = None
    fingerprints: Mapping[str, str | None] = field(default_factory=dict)

    def was_selected_on(self, split: str, fingerprint: str) -> bool | None:
        """Return whether the model was selected on a split.

        Args:
            split: name of the split.
            fingerprint: fingerprint of the split.

        Returns:
            True if it has the fingerprint of one that the model was selected on, whatever its name. None if it only has
            the name of one: it may be a part of that split, or have the labels of another target.
        """
        selected_on = self.selected_on or ()
        if fingerprint in [self.fingerprints.get(name) for name in selected_on]:
            return True
        return None if split in selected_on else False


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A trained model. A Keras model is loaded when it is first needed.

    Args:
        name: the model as given.
        path: the model file.
        provenance: the data that it was trained and selected on.
        run: its run folder, if a run folder was given.
        artifact: the opened artifact, for an `.onnx` or `.tflite` file.
    """

    name: str
    path: Path
    provenance: Provenance
    run: RunFolder | None = None
    artifact: Artifact | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Compute probabilities `(N, K)` of images `(N, 48, 48)` uint8."""
        if self.artifact:
            return self.artifact.probabilities(images)
        from ferlab.models import predict_logits

        return softmax(predict_logits(self.keras_model, images))

    @cached_property
    def keras_model(self) -> "keras.Model":
        """The Keras model.

        Raises:
            FerlabError: if this is an artifact, or the file cannot be loaded.
        """
        if self.artifact:
            raise FerlabError(f"{self.path} is not a Keras model. Pass a run folder or a .keras file.")
        from ferlab.models import load_model

        start_keras()
        return load_model(self.path)

    def require_classes(self, class_names: tuple[str, ...], source: str) -> None:
        """Check that the model has the classes of a dataset, in the same order.

        Raises:
            FerlabError: if they differ.
        """
        own = self.provenance.class_names
        if own is None and self.keras_model.output_shape[-1] != len(class_names):
            number = self.keras_model.output_shape[-1]
            raise FerlabError(f"{self.path} has {number} classes, and {source} has {len(class_names)}.")
        if own is not None and own != class_names:
            raise FerlabError(f"{self.path} has the classes {', '.join(own)}; {source} has {', '.join(class_names)}.")


def open_model(model: str | Path, *, threads: int = 0) -> TrainedModel:
    """Open a trained model.

    Args:
        model: a run folder, a `.keras` file, an artifact (`.onnx`, `.tflite`), or the name of a network in the package.
        threads: number of CPU threads of an artifact; 0 for all cores.

    Raises:
        ArtifactError: if the file is not a valid artifact.
        FerlabError: if there is no such file, or it is not a model.
        RunError: if the folder does not contain a trained model.
    """
    path = find_model(model)
    if path.suffix in SUFFIXES:
        with quiet_start():
            artifact = Artifact(path, threads=threads)
        return TrainedModel(name=str(model), path=path, provenance=_of_artifact(artifact), artifact=artifact)
    if not Path(model).is_dir():
        return TrainedModel(name=str(model), path=path, provenance=Provenance(class_names=_neighboring_classes(path)))
    run = RunFolder(Path(model))
    provenance = Provenance(
        class_names=run.dataset().class_names,
        target=run.dataset().target,
        class_shares=run.class_shares(),
        selected_on=run.trained_result().selected_on,
        fingerprints=run.fingerprints(),
    )
    return TrainedModel(name=str(model), path=path, provenance=provenance, run=run)


def _neighboring_classes(path: Path) -> tuple[str, ...] | None:
    """Return the classes of the run that a model file belongs to, if any."""
    run = RunFolder(path.parent)
    return run.dataset().class_names if path == run.model_file and run.exists() else None


def _of_artifact(artifact: Artifact) -> Provenance:
    selected_on = artifact.metadata["protocol"].get("selected_on")
    return Provenance(
        class_names=artifact.class_names,
        target=None if artifact.metadata["target"] is None else Target(artifact.metadata["target"]),
        class_shares=artifact.metadata["class_shares"],
        selected_on=None if selected_on is None else tuple(selected_on),
        fingerprints=artifact.metadata["fingerprints"],
    )


def find_model(model: str | Path) -> Path:
    """Find the model file. Args and errors as in `open_model`."""
    path = packaged_file(model) or Path(model)
    if not exists(path):
        raise FerlabError(f"{shown(path)} does not exist. Pass {KINDS}.")
    if path.is_dir():
        path = RunFolder(path).model_file
        if not path.is_file():
            raise RunError(
                f"{model} does not contain a trained model ({path.name}). Train it first, or resume it with --resume."
            )
    if path.suffix not in (*SUFFIXES, ".keras") or not path.is_file():
        raise FerlabError(f"{path} is not a model file. Pass {KINDS}.")
    return path
