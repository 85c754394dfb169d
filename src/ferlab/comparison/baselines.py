"""Two baselines without a network: the majority class, and logistic regression on pixels."""

import time
from collections.abc import Callable

import cv2
import numpy as np

from ferlab.comparison.results import Entry
from ferlab.data import Dataset, Split
from ferlab.evaluation.metrics import compute_metrics
from ferlab.evaluation.scoring import score_split
from ferlab.recipes.registry import BASELINE
from ferlab.results import DatasetSummary, SplitMetrics

MAJORITY, PIXELS = "baseline_majority", "baseline_pixels"
SIDE = 24  # pixels: logistic regression sees averages of 2x2 pixels
MAX_ITERATIONS = 100


def baseline_entries(dataset: Dataset) -> list[Entry]:
    """Fit both baselines on the training split, and score them. One that fails is an entry with its reason."""
    return [majority_entry(dataset.summary()), _pixels_entry(dataset)]


def majority_entry(data: DatasetSummary) -> Entry:
    """Score the baseline that always predicts the class frequencies of the training split.

    Args:
        data: summary of the dataset, with the class counts of its splits.
    """
    counts = np.array([data.splits["train"].classes[name] for name in data.class_names])
    frequencies = counts / counts.sum()
    scores = {split: _majority_metrics(data, split, frequencies) for split in ("validation", "test")}
    return _entry(MAJORITY, "majority class", len(counts), 0.0, scores)


def _majority_metrics(data: DatasetSummary, split: str, frequencies: np.ndarray) -> SplitMetrics | None:
    if split not in data.splits:
        return None
    summary = data.splits[split]
    labels = np.repeat(np.arange(len(frequencies)), [summary.classes[name] for name in data.class_names])
    metrics = compute_metrics(labels, np.tile(frequencies, (len(labels), 1)), data.class_names)
    reason = "it does not look at the images"
    return SplitMetrics(
        **vars(metrics),
        target=data.target,
        fingerprint=summary.fingerprint,
        leak_free=None,
        leak_free_reason=reason,
        agreement=None,
    )


def _pixels_entry(dataset: Dataset) -> Entry:
    architecture, started = f"logistic regression on {SIDE}x{SIDE} pixels", time.perf_counter()
    try:
        predict, parameters = _logistic_regression(dataset.take(Split.TRAIN))
    except Exception as error:  # the networks are trained by now, and their results must not be lost
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Entry(
            recipe=PIXELS, group=BASELINE, architecture=architecture, seed=None, status="failed", reason=reason
        )
    seconds = round(time.perf_counter() - started, 3)
    scores = {}
    for split in (Split.VALIDATION, Split.TEST):
        part = dataset.take(split)
        scores[split.label] = score_split(part, split, predict(part.images), dataset) if len(part) else None
    return _entry(PIXELS, architecture, parameters, seconds, scores)


def _entry(name: str, model: str, parameters: int, seconds: float, scores: dict[str, SplitMetrics | None]) -> Entry:
    return Entry(
        recipe=name,
        group=BASELINE,
        architecture=model,
        seed=None,
        status="completed",
        parameters=parameters,
        trainable_parameters=parameters,
        multiply_adds=parameters,
        seconds_per_epoch=seconds,
        seconds=seconds,
        validation=scores["validation"],
        test=scores["test"],
    )


def _logistic_regression(training: Dataset) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # A strong fixed L2 penalty and a loose tolerance: the last digits of the weights do not change predictions.
    classifier = LogisticRegression(C=10 / len(training), max_iter=MAX_ITERATIONS, tol=1e-3)
    model = make_pipeline(StandardScaler(), classifier).fit(_pixels(training.images), training.labels)
    num_classes = len(training.class_names)

    def predict(images: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(images), num_classes))
        probabilities[:, classifier.classes_] = model.predict_proba(_pixels(images))
        return probabilities

    return predict, classifier.coef_.size + classifier.intercept_.size


def _pixels(images: np.ndarray) -> np.ndarray:
    """Downsample images `(N, H, W)` uint8 to 24x24 pixels: `(N, 576)` float32."""
    small = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).reshape(len(images), -1).astype(np.float32)
