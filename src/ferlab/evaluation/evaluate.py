"""`evaluate`: the metrics of a model on one split of a dataset."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferlab.csv_files import read_table, unguarded
from ferlab.data import Dataset, Split
from ferlab.data.copies import group_copies
from ferlab.data.unlabeled import UnlabeledImages
from ferlab.errors import DataError, FerlabError
from ferlab.evaluation.metrics import (
    accuracy_by_group,
    brier_score,
    check_libraries,
    compute_metrics,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    log_softmax,
    safe_log,
    selective_prediction,
)
from ferlab.evaluation.paired import compare_predictions
from ferlab.evaluation.predictions import (
    is_prediction_file,
    read_predictions,
    require_prediction_file,
    write_predictions,
)
from ferlab.evaluation.scoring import score_split
from ferlab.evaluation.trained_model import Classifier, Provenance, open_model
from ferlab.predict.class_prior import prior_factors, reweight
from ferlab.protocol import check_same_split
from ferlab.results import AugmentedMetrics, Calibration, Evaluation, PairedComparison, SplitMetrics
from ferlab.run_arrays import Predictions
from ferlab.runs import RunFolder

SHIFT = 2  # pixels, of the views for test-time augmentation


def evaluate(
    model: str | Path,
    dataset: Dataset,
    split: str | Split = Split.VALIDATION,
    *,
    training: Dataset | None = None,
    tta: bool = False,
    abstain: float | None = None,
    groups: Mapping[str, str] | None = None,
    against: str | Path | None = None,
    class_prior: Mapping[str, float] | None = None,
    write: str | Path | None = None,
) -> Evaluation:
    """Evaluate a model, or the predictions of any system, on one split of a dataset.

    The metrics of a run folder on its own data are written into it.

    Args:
        model: a run folder, a `.keras` file, an artifact (`.onnx`, `.tflite`), the name of a network in the package, or
            a prediction file (`.csv`, `.npz`); see `ferlab.evaluation.predictions`.
        dataset: a dataset with images in that split.
        split: `train`, `validation` or `test`.
        training: the training images, if `dataset` has none, to find copies of the scored images in.
        tta: also score the mean prediction over ten views of each image (test-time augmentation): shifted by up to
            two pixels, and mirrored.
        abstain: also score only the predictions whose confidence reaches this threshold, 0..1.
        groups: group names by image name: also score each group.
        against: another model or prediction file to compare with, image by image.
        class_prior: re-weight the probabilities of the model for these shares of the classes; see
            `ferlab.predict.class_prior`. The metrics are not written into its run folder.
        write: a file to write the predictions to, `.csv` or `.npz`.

    Returns:
        The metrics. `calibrated` is set for a run folder whose validation split was scored before. If a file contains
        classes without probabilities, the metrics that need probabilities are null.

    Raises:
        DataError: if the split is empty, `groups` or a prediction file names other images, `write` has another suffix,
            or the random split of `dataset` differs from the one that the run was trained with.
        FerlabError: if the file is not a model, has different classes, or does not support a requested option.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
        RunError: if the folder does not contain a finished run.
    """
    check_libraries()
    if write:
        require_prediction_file(write)
    split = Split.from_label(split) if isinstance(split, str) else split
    part = dataset.require(split)
    group_names = None if groups is None else _group_names(dataset, part, groups)
    other = None if against is None else predict_split(against, dataset, part, split)
    predicted = predict_split(model, dataset, part, split)
    if class_prior is not None:
        predicted = _with_prior(str(model), predicted, part, class_prior)
    probabilities, provenance = predicted.probabilities, predicted.provenance
    copies, correct = group_copies(part.images), probabilities.argmax(axis=1) == part.labels
    metrics = score_split(part, split, probabilities, training or dataset, provenance.fingerprints.get("train"))
    if predicted.run and split != Split.VALIDATION:
        metrics = dataclasses.replace(metrics, calibrated=_calibrated(predicted.run, part, probabilities))
    recorded = _same_data(provenance, dataset) and _record(predicted.run, split, metrics, part, probabilities)
    if write and not predicted.has_probabilities:
        raise DataError(f"{model} contains classes without probabilities, so --write-predictions has none to write.")
    if write:
        write_predictions(write, part.names, probabilities, part.class_names)
    evaluation = Evaluation(
        **vars(metrics),
        model=str(model),
        split=split.label,
        learned=provenance.target,
        selected_on=provenance.selected_on,
        selected_here=provenance.was_selected_on(split.label, part.fingerprints[split.label]),
        recorded=recorded,
        tta=_score_views(predicted, part, copies) if tta else None,
        abstained=None if abstain is None else selective_prediction(part.labels, probabilities, copies, abstain),
        by_group=None if group_names is None else accuracy_by_group(correct, copies, group_names),
        against=None if other is None else _compare(str(against), other, part, correct, copies),
    )
    return evaluation if predicted.has_probabilities else _without_probabilities(evaluation)


def predict_unlabeled(
    model: str | Path, images: UnlabeledImages, out: str | Path, class_prior: Mapping[str, float] | None = None
) -> None:
    """Write the predictions of a model on images without labels.

    Args:
        model: as in `evaluate`; its class names must be known, which they are not for a `.keras` file.
        images: the images to predict.
        out: the output file, `.csv` or `.npz`.
        class_prior: as in `evaluate`.

    Raises:
        DataError: if the output file has another suffix.
        FerlabError: if the file is not a model, or its class names are unknown.
    """
    require_prediction_file(out)
    opened = open_model(model)
    class_names = opened.provenance.class_names
    if class_names is None:
        raise FerlabError(f"{model} does not contain its class names. Pass its run folder or an exported file.")
    factors = None
    if class_prior is not None:
        factors = prior_factors(str(model), class_names, opened.provenance.class_shares, class_prior)
    write_predictions(out, images.names, reweight(opened(images.images), factors), class_names)


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedSplit:
    """Predictions on the images of one split, and where they come from.

    Args:
        probabilities: `(N, K)`.
        provenance: provenance of the model; empty for a prediction file.
        has_probabilities: whether there are probabilities, not just classes.
        run: the run folder, if the model was given as one.
        classify: the model; None for a prediction file.
        seconds: time that the predictions took.
    """

    probabilities: np.ndarray
    provenance: Provenance
    has_probabilities: bool = True
    run: RunFolder | None = None
    classify: Classifier | None = None
    seconds: float = 0.0


def predict_split(model: str | Path, dataset: Dataset, part: Dataset, split: Split) -> PredictedSplit:
    """Run a model on the images of a split, or read the predictions for them.

    Args:
        model: as in `evaluate`.
        dataset: the whole dataset.
        part: its images in the split.
        split: the split.

    Raises:
        DataError: if a prediction file does not fit the images, or the run was trained with different splits.
        FerlabError: if the file is not a model, or has different classes.
    """
    if is_prediction_file(model):
        found = read_predictions(model)
        return PredictedSplit(
            probabilities=found.aligned(part), provenance=Provenance(), has_probabilities=found.has_probabilities
        )
    opened = open_model(model)
    opened.require_classes(part.class_names, part.source)
    if opened.run:
        check_same_split(opened.run.path, opened.run.dataset(), dataset, split)
    opened(part.images[:1])  # loads the model, which must not count as time of the predictions
    started = time.perf_counter()
    probabilities = opened(part.images)
    return PredictedSplit(
        probabilities=probabilities,
        provenance=opened.provenance,
        run=opened.run,
        classify=opened,
        seconds=time.perf_counter() - started,
    )


def _with_prior(
    model: str, predicted: PredictedSplit, part: Dataset, class_prior: Mapping[str, float]
) -> PredictedSplit:
    """Re-weight predictions for other shares of the classes. What is left of the run folder is not written to."""
    factors = prior_factors(model, part.class_names, predicted.provenance.class_shares, class_prior)
    classify = predicted.classify
    return dataclasses.replace(
        predicted,
        probabilities=reweight(predicted.probabilities, factors),
        run=None,
        classify=None if classify is None else lambda images: reweight(classify(images), factors),
    )


def _compare(
    name: str, other: PredictedSplit, part: Dataset, correct: np.ndarray, copies: np.ndarray
) -> PairedComparison:
    return compare_predictions(name, correct, other.probabilities.argmax(axis=1) == part.labels, copies)


def _without_probabilities(evaluation: Evaluation) -> Evaluation:
    return dataclasses.replace(
        evaluation,
        top2_accuracy=None,
        log_loss=None,
        brier_score=None,
        expected_calibration_error=None,
        reliability=(),
        risk_coverage=(),
        abstained=None,
        probabilities_reason="the file contains classes without probabilities",
    )


def _record(
    run: RunFolder | None, split: Split, metrics: SplitMetrics, part: Dataset, probabilities: np.ndarray
) -> bool:
    """Write the metrics into the run folder, if there is one."""
    if run is None:
        return False
    with run.lock():
        current = RunFolder(run.path)  # another evaluation may have ended meanwhile
        current.write_predictions(split.label, Predictions.on(part, probabilities))
        if split != Split.TRAIN:
            result = current.trained_result()
            result = result.with_metrics(split.label, _completed(metrics, result.metrics(split.label)))
            current.write_result(result)
    return True


def _completed(metrics: SplitMetrics, earlier: SplitMetrics | None) -> SplitMetrics:
    """Add what earlier metrics on the same images had, and these lack: training images or votes were not given."""
    if earlier is None or earlier.fingerprint != metrics.fingerprint:
        return metrics
    if metrics.leak_free is None and earlier.leak_free:
        metrics = dataclasses.replace(metrics, leak_free=earlier.leak_free, leak_free_reason=earlier.leak_free_reason)
    return metrics if metrics.agreement else dataclasses.replace(metrics, agreement=earlier.agreement)


def _same_data(provenance: Provenance, dataset: Dataset) -> bool:
    """Return whether both have a split, and all that both have are the same; so is the target as far as it is known."""
    known, own = provenance.fingerprints, dataset.fingerprints
    same_target = None in (provenance.target, dataset.target) or provenance.target == dataset.target
    shared = known.keys() & own.keys()
    return same_target and bool(shared) and all(known[name] == own[name] for name in shared)


def _calibrated(run: RunFolder, part: Dataset, probabilities: np.ndarray) -> Calibration | None:
    """Apply the temperature that was fitted on the validation split to the probabilities on another one."""
    validation = run.predictions("validation")
    if validation is None:
        return None
    temperature = fit_temperature(validation.labels, safe_log(validation.probabilities))
    log_probabilities = log_softmax(safe_log(probabilities) / temperature)
    calibrated = np.exp(log_probabilities)
    return Calibration(
        temperature=temperature,
        log_loss=log_loss(part.labels, log_probabilities),
        brier_score=brier_score(part.labels, calibrated),
        expected_calibration_error=expected_calibration_error(part.labels, calibrated),
    )


def _score_views(predicted: PredictedSplit, part: Dataset, copies: np.ndarray) -> AugmentedMetrics:
    """Score the mean prediction over all views."""
    if predicted.classify is None:
        raise FerlabError("Test-time augmentation needs a model, not a prediction file.")
    started = time.perf_counter()
    predictions = [predicted.classify(view) for view in views(part.images)]
    ratio = (time.perf_counter() - started) / max(predicted.seconds, 1e-9)
    metrics = compute_metrics(part.labels, np.mean(predictions, axis=0), part.class_names, copies)
    return AugmentedMetrics(**vars(metrics), views=len(predictions), seconds_ratio=ratio)


def views(images: np.ndarray) -> Iterator[np.ndarray]:
    """Make ten views of each image: unshifted and shifted by two pixels to each side, and all of these mirrored.

    Args:
        images: `(N, H, W)` uint8. Pixels from outside repeat the border.

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
    """Read a table with the columns `name` and `group`, which assigns images to groups.

    Raises:
        DataError: if it cannot be read, lacks a column, or puts an image into two groups.
    """
    try:
        columns, rows = read_table(Path(path))
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a table of groups: {error}.") from None
    if not rows or not {"name", "group"} <= set(columns):
        raise DataError(f"{path} must have the columns name and group, and one row per image.")
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        name = unguarded(row["name"])
        if groups.setdefault(name, row["group"]) != row["group"]:
            raise DataError(f"{path}, line {number}: {name} is in two groups. Remove one of the rows.")
    return groups


def _group_names(dataset: Dataset, part: Dataset, groups: Mapping[str, str]) -> np.ndarray:
    """Return the group of each image of a split, `(N,)` str; empty for images without one."""
    names = part.names.astype(str).tolist()
    known = dataset.omitted.union(dataset.names.tolist(), (item.name for item in dataset.skipped))
    if unknown := sorted(set(groups) - known):
        raise DataError(
            f"{part.source} has no image '{unknown[0]}' ({len(unknown):,} names are unknown). Its names look like "
            f"'{names[0]}'."
        )
    if not set(groups) & set(names):
        raise DataError("The table of groups names no image of this split. Choose another --split.")
    return np.array([groups.get(name, "") for name in names])
