"""Scoring: a model and one split of a data set give probabilities and metrics."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.errors import FerlabError, RunError
from ferlab.metrics import log_softmax, score
from ferlab.predict.artefact import DEFAULT, Artefact
from ferlab.runs import SCHEMA, RunFolder

BATCH_SIZE = 256

Classifier = Callable[[np.ndarray], np.ndarray]  # images (N, 48, 48) uint8 to probabilities (N, K)


def evaluate(model: str | Path, dataset: Dataset, split: str | Split = Split.VALIDATION) -> dict[str, Any]:
    """Scores a model on one split. Where the model is a run folder, the result is written there as well.

    Args:
        model: a run folder, a `.keras` file, an artefact (`.onnx`), or `default` for the one in the package.
        dataset: with images in that split.
        split: `train`, `validation` or `test`.

    Returns:
        `schema, model, split, images, accuracy, accuracy_interval, macro_f1, log_loss,
        expected_calibration_error, per_class, confusion, class_names, fingerprint`; see `ferlab.metrics.score`.

    Raises:
        DataError: if the split is empty.
        FerlabError: if the file is no model, or was made for other classes.
        RunError: if the folder holds no finished run.
    """
    path = DEFAULT if str(model) == "default" else Path(model)
    split = Split.from_label(split) if isinstance(split, str) else split
    part = dataset.require(split)
    run = RunFolder(path) if path.is_dir() else None
    probabilities = load_classifier(model, part)(part.images)
    metrics = score(part.labels, probabilities, part.class_names)
    metrics["fingerprint"] = part.fingerprints[split.label]
    if run:
        run.write_predictions(split.label, probabilities, part)
        run.write("result", (run.result() or {}) | {split.label: metrics, f"{split.label}_reason": None})
    return {"schema": SCHEMA, "model": str(model), "split": split.label, **metrics}


def load_classifier(model: str | Path, dataset: Dataset) -> Classifier:
    """Loads a model once, to answer any number of times.

    Args:
        model: as in `evaluate`.
        dataset: whose classes the model must tell apart.

    Returns:
        A function of images `(N, 48, 48)` uint8 that returns probabilities `(N, K)`.

    Raises:
        FerlabError: if the file is no model, or was made for other classes.
        RunError: if the folder holds no finished run.
    """
    path = DEFAULT if str(model) == "default" else Path(model)
    if not path.exists():
        raise FerlabError(f"{path} does not exist. Give a run folder, a .keras file or an .onnx file.")
    if path.is_dir():
        run = RunFolder(path)
        if not run.model_file.is_file():
            raise RunError(f"{path} holds no trained model (model.keras). Train it first, or go on with --resume.")
        _check_classes(path, run.dataset()["class_names"], dataset)
        return _keras_classifier(run.model_file, dataset)
    if path.suffix == ".keras":
        return _keras_classifier(path, dataset)
    if path.suffix == ".onnx":
        artefact = Artefact(path)
        _check_classes(path, artefact.class_names, dataset)
        return artefact.probabilities
    raise FerlabError(f"{path} is no model. Give a run folder, a .keras file or an .onnx file.")


def _keras_classifier(path: Path, dataset: Dataset) -> Classifier:
    from ferlab.backend import start_keras
    from ferlab.models import predict_logits

    start_keras()
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise FerlabError(
            f"{path} cannot be loaded as a Keras model: {str(error).splitlines()[0]} Layers of a plugin need --plugin."
        ) from error
    if model.output_shape[-1] != len(dataset.class_names):
        raise FerlabError(
            f"{path} tells {model.output_shape[-1]} classes apart, and {dataset.source} has {len(dataset.class_names)}."
        )
    return lambda images: np.exp(log_softmax(predict_logits(model, images, BATCH_SIZE)))


def _check_classes(path: Path, class_names: Iterable[str], part: Dataset) -> None:
    if tuple(class_names) != part.class_names:
        raise FerlabError(
            f"{path} tells apart {', '.join(class_names)}; {part.source} has {', '.join(part.class_names)}."
        )
