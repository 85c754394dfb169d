"""Scoring: a model and one split of a data set give probabilities and metrics."""

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.backend import quiet_start, start_keras
from ferlab.data import Dataset, Split
from ferlab.data.copies import group_copies
from ferlab.data.exclude import notes_mention_exclusion
from ferlab.data.splits import SPLIT_OFF_NOTE
from ferlab.errors import DataError, FerlabError, RunError
from ferlab.evaluation.metrics import (
    accuracy_by_group,
    answered,
    brier_score,
    check_libraries,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    log_softmax,
    safe_log,
    score,
)
from ferlab.evaluation.scoring import score_split
from ferlab.predict.artifact import DEFAULT, SUFFIXES, Artifact
from ferlab.runs import SCHEMA, RunFolder

SHIFT = 2  # pixels, of the views for test-time augmentation


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model comes from, as far as it says so.

    Args:
        selected_on: the splits that it was selected on, joined by `+`.
        fingerprints: of the splits that it was made with, by name.
    """

    selected_on: str | None = None
    fingerprints: Mapping[str, str | None] = field(default_factory=dict)


Classifier = Callable[[np.ndarray], np.ndarray]  # images (N, 48, 48) uint8 to probabilities (N, K)


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A classifier that says where it comes from.

    Args:
        answer: the classifier itself.
        origin: where the model comes from.
    """

    answer: Classifier
    origin: Origin

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.answer(images)


def evaluate(
    model: str | Path,
    dataset: Dataset,
    split: str | Split = Split.VALIDATION,
    *,
    training: Dataset | None = None,
    tta: bool = False,
    abstain: float | None = None,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Scores a model on one split. Where the model is a run folder, and the data its own, the result is written there.

    Args:
        model: a run folder, a `.keras` file, an artifact (`.onnx`, `.tflite`), or `default` for the one in the package.
        dataset: with images in that split.
        split: `train`, `validation` or `test`.
        training: where the training images are, if `dataset` has none: images with a copy among them are told apart.
        tta: score the mean answer to ten views of each image too (test-time augmentation): mirrored or not, and
            shifted by two pixels.
        abstain: score the answers whose highest probability reaches this threshold, 0..1, too.
        groups: names of images, to the names of groups whose accuracies are to be compared too.

    Returns:
        `schema, model, split`; `selected_on`, the splits that the model was selected on, joined by `+`, or null where
        it does not say; `recorded`, whether the result was written into the run folder: not where its splits are others
        than those of `dataset`; and all that `ferlab.evaluation.scoring.score_split` gives. For a run folder that was
        scored on
        validation before, and another split, `calibrated`: the `temperature` fitted on validation, and what dividing by
        it makes of `log_loss`, `brier_score` and `expected_calibration_error`; else null. Where asked for, also `tta`
        (`views, seconds_ratio`, and the scores of the mean answer), `abstained` (see
        `ferlab.evaluation.metrics.answered`) and
        `by_group` (see `ferlab.evaluation.metrics.accuracy_by_group`).

    Raises:
        DataError: if the split is empty, a name of `groups` is none of its images, or `dataset` was carved into other
            splits than those that the run was trained with.
        FerlabError: if the file is no model, or was made for other classes.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
        RunError: if the folder holds no finished run.
    """
    check_libraries()
    split = Split.from_label(split) if isinstance(split, str) else split
    part = dataset.require(split)
    of = _group_names(part, groups) if groups is not None else None
    classify = load_classifier(model, part)
    origin = classify.origin
    run = RunFolder(Path(model)) if Path(model).is_dir() else None
    if run:
        _refuse_other_carving(run, dataset, split)
    started = time.perf_counter()
    probabilities = classify(part.images)
    seconds = time.perf_counter() - started
    copies, right = group_copies(part.images), probabilities.argmax(axis=1) == part.labels
    metrics = score_split(part, split, probabilities, training or dataset, origin.fingerprints.get("train"))
    metrics["calibrated"] = _calibrated(run, part, probabilities) if run and split != Split.VALIDATION else None
    if tta:
        metrics["tta"] = _score_views(classify, part, copies, seconds)
    if abstain is not None:
        metrics["abstained"] = answered(part.labels, probabilities, copies, abstain)
    if of is not None:
        metrics["by_group"] = accuracy_by_group(right, copies, of)
    recorded = run is not None and _same_splits(origin.fingerprints, dataset)
    if run and recorded:
        run.write_predictions(split.label, probabilities, part)
        run.write("result", (run.result() or {}) | {split.label: metrics, f"{split.label}_reason": None})
    whence = {"selected_on": origin.selected_on, "recorded": recorded}
    return {"schema": SCHEMA, "model": str(model), "split": split.label, **whence, **metrics}


def _same_splits(fingerprints: Mapping[str, str | None], dataset: Dataset) -> bool:
    """Whether no split that both have differs."""
    return all(fingerprints.get(name, own) == own for name, own in dataset.fingerprints.items())


def _refuse_other_carving(run: RunFolder, dataset: Dataset, split: Split) -> None:
    """Carved splits depend on all pictures: with one more, others are held back, and a run may have learned them.

    What a list leaves out is left out after the carving, and moves nothing.
    """
    trained_with = run.dataset()
    notes = " ".join(dataset.notes), " ".join(trained_with.get("notes", []))
    both_carved = all(SPLIT_OFF_NOTE in text for text in notes) and not any(map(notes_mention_exclusion, notes))
    same_source = trained_with["source"] == Path(dataset.source).name
    if both_carved and same_source and run.fingerprints().get(split.label) != dataset.fingerprints[split.label]:
        raise DataError(
            f"{dataset.source} has changed, or is read otherwise, since {run.path} was trained: its splits are carved "
            "out anew, and pictures that the run learned are among those to be scored. Read it as it was, or put the "
            "pictures into folders train, val and test."
        )


def _calibrated(run: RunFolder, part: Dataset, probabilities: np.ndarray) -> dict[str, float] | None:
    """What a temperature that was fitted on validation images makes of the probabilities on other ones."""
    stored = run.predictions()
    if "validation_probabilities" not in stored:
        return None
    temperature = fit_temperature(stored["validation_labels"], safe_log(stored["validation_probabilities"]))
    log_probabilities = log_softmax(safe_log(probabilities) / temperature)
    calibrated = np.exp(log_probabilities)
    return {
        "temperature": temperature,
        "log_loss": log_loss(part.labels, log_probabilities),
        "brier_score": brier_score(part.labels, calibrated),
        "expected_calibration_error": expected_calibration_error(part.labels, calibrated),
    }


def _score_views(classify: Classifier, part: Dataset, copies: np.ndarray, seconds: float) -> dict[str, Any]:
    """The scores of the mean answer to all views, and how many times longer they take than one."""
    started = time.perf_counter()
    answers = [classify(view) for view in views(part.images)]
    ratio = (time.perf_counter() - started) / max(seconds, 1e-9)
    scores = score(part.labels, np.mean(answers, axis=0), part.class_names, copies)
    return {"views": len(answers), "seconds_ratio": ratio, **scores}


def views(images: np.ndarray) -> Iterator[np.ndarray]:
    """Ten views of each image: unmoved and shifted by two pixels to each side, and all that mirrored.

    Args:
        images: `(N, H, W)` uint8. What moves in from outside repeats the border.

    Yields:
        `(N, H, W)` uint8, ten times; the first is `images` itself.
    """
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    for down, right in ((0, 0), (SHIFT, 0), (-SHIFT, 0), (0, SHIFT), (0, -SHIFT)):
        view = padded[:, SHIFT + down : SHIFT + down + height, SHIFT + right : SHIFT + right + width]
        yield view
        yield view[:, :, ::-1]


def read_groups(path: str | Path) -> dict[str, str]:
    """Reads a table with the columns `name` and `group`: which group each image is counted in.

    Raises:
        DataError: if it cannot be read, lacks a column, or puts an image into two groups.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table of groups: {error}.") from None
    if not rows or not {"name", "group"} <= rows[0].keys():
        raise DataError(f"{path} must have the columns name and group, and a row for each image.")
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        if groups.setdefault(row["name"], row["group"] or "") != (row["group"] or ""):
            raise DataError(f"{path}, line {number}: {row['name']} is in two groups. Leave one of them out.")
    return groups


def _group_names(part: Dataset, groups: Mapping[str, str]) -> np.ndarray:
    """The group of each image `(N,)`, empty where there is none."""
    names = part.names.astype(str).tolist()
    if unknown := sorted(set(groups) - set(names)):
        raise DataError(
            f"{part.source} has no image '{unknown[0]}' in this split ({len(unknown):,} names are unknown). Names are "
            f"such as '{names[0]}'."
        )
    return np.array([groups.get(name, "") for name in names])


def load_classifier(model: str | Path, dataset: Dataset) -> LoadedModel:
    """Loads a model once, to answer any number of times.

    Args:
        model: as in `evaluate`.
        dataset: whose classes the model must tell apart.

    Raises:
        FerlabError: if the file is no model, or was made for other classes.
        RunError: if the folder holds no trained run.
    """
    path = find_model(model)
    if path.suffix in SUFFIXES:
        with quiet_start():
            artifact = Artifact(path)
        _check_classes(path, artifact.class_names, dataset)
        said = artifact.metadata
        origin = Origin(selected_on=said["protocol"].get("selected_on"), fingerprints=said["fingerprints"])
        return LoadedModel(answer=artifact.probabilities, origin=origin)
    origin = Origin()
    if Path(model).is_dir():
        run = RunFolder(Path(model))
        _check_classes(run.path, run.dataset()["class_names"], dataset)
        origin = Origin(selected_on=run.trained_result()["selected_on"], fingerprints=run.fingerprints())
    return LoadedModel(answer=_keras_answer(path, dataset), origin=origin)


def find_model(model: str | Path) -> Path:
    """The file that holds a model: an artifact (`.onnx`, `.tflite`), or one of Keras.

    Args:
        model: as in `evaluate`.

    Raises:
        FerlabError: if there is none.
        RunError: if the folder holds no finished run.
    """
    path, kinds = (
        DEFAULT if str(model) == "default" else Path(model),
        "a run folder, or a .keras, .onnx or .tflite file",
    )
    if not path.exists():
        raise FerlabError(f"{path} does not exist. Give {kinds}.")
    if path.is_dir():
        path = RunFolder(path).model_file
        if not path.is_file():
            raise RunError(f"{model} holds no trained model ({path.name}). Train it first, or go on with --resume.")
    if path.suffix not in (*SUFFIXES, ".keras"):
        raise FerlabError(f"{path} is no model. Give {kinds}.")
    return path


def _keras_answer(path: Path, dataset: Dataset) -> Classifier:
    from ferlab.models import load_model, predict_logits

    start_keras()
    model = load_model(path)
    if model.output_shape[-1] != len(dataset.class_names):
        raise FerlabError(
            f"{path} tells {model.output_shape[-1]} classes apart, and {dataset.source} has {len(dataset.class_names)}."
        )
    return lambda images: np.exp(log_softmax(predict_logits(model, images)))


def _check_classes(path: Path, class_names: Iterable[str], part: Dataset) -> None:
    if tuple(class_names) != part.class_names:
        raise FerlabError(
            f"{path} tells apart {', '.join(class_names)}; {part.source} has {', '.join(part.class_names)}."
        )
