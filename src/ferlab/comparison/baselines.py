"""Two models that see no network: what any architecture has to beat."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from ferlab.data import Dataset, Split
from ferlab.evaluation.metrics import score
from ferlab.evaluation.scoring import score_split

SIDE = 24  # pixels; the logistic regression sees averages of 2x2 pixels
MAX_ITERATIONS = 100


def baseline_entries(dataset: Dataset) -> list[dict[str, Any]]:
    """Fits both baselines on the training split and scores them, as entries of a comparison."""
    return [majority_entry(dataset.describe()), _pixels_entry(dataset)]


def majority_entry(described: Mapping[str, Any]) -> dict[str, Any]:
    """Always answers with the frequencies of the training labels.

    Args:
        described: class names and class counts of each split, as `Dataset.describe` gives them.
    """
    names, splits = tuple(described["class_names"]), described["splits"]
    counts = {label: np.array([split["classes"][name] for name in names]) for label, split in splits.items()}
    frequencies = counts["train"] / counts["train"].sum()
    scores = {}
    for label in ("validation", "test"):
        labels = np.repeat(np.arange(len(names)), counts.get(label, 0))
        scores[label] = score(labels, np.tile(frequencies, (len(labels), 1)), names) if len(labels) else None
    return _entry("baseline_majority", "majority class", len(names), 0.0, scores)


def _pixels_entry(dataset: Dataset) -> dict[str, Any]:
    started = time.perf_counter()
    predict, parameters = _logistic_regression(dataset.take(Split.TRAIN))
    seconds = round(time.perf_counter() - started, 3)
    scores = {}
    for split in (Split.VALIDATION, Split.TEST):
        part = dataset.take(split)
        scores[split.label] = score_split(part, split, predict(part.images), dataset) if len(part) else None
    return _entry("baseline_pixels", f"logistic regression on {SIDE}x{SIDE} pixels", parameters, seconds, scores)


def _entry(recipe: str, model: str, parameters: int, seconds: float, scores: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "model": model,
        "seed": None,
        "status": "completed",
        "reason": None,
        "run": None,
        "parameters": parameters,
        "trainable_parameters": parameters,
        "multiply_adds": parameters,
        "epochs": None,
        "image_passes": None,
        "seconds_per_epoch": seconds,
        "seconds": seconds,
        "selected_on": None,
        "deviations": [],
        **scores,
    }


def _logistic_regression(training: Dataset) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # A strong L2 penalty, fixed beforehand, and a loose tolerance: the last digits of the weights change no answer.
    classifier = LogisticRegression(C=10 / len(training), max_iter=MAX_ITERATIONS, tol=1e-3)
    model = make_pipeline(StandardScaler(), classifier).fit(_pixels(training.images), training.labels)
    num_classes = len(training.class_names)

    def predict(images: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(images), num_classes))
        probabilities[:, classifier.classes_] = model.predict_proba(_pixels(images))
        return probabilities

    return predict, classifier.coef_.size + classifier.intercept_.size


def _pixels(images: np.ndarray) -> np.ndarray:
    """`(N, H, W)` uint8 to `(N, 576)` float32, each picture averaged down to 24x24."""
    small = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).reshape(len(images), -1).astype(np.float32)
