"""Metrics: pure functions of labels `(N,)` and probabilities `(N, K)` or logits, on NumPy and scikit-learn."""

from typing import Any

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities `(N, K)` that logits `(N, K)` stand for, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of images whose most probable class is the label, 0..1."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def log_loss(labels: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Mean negative log-likelihood of the labels, in nats."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """The temperature by which logits are best divided: that of the lowest log loss (https://arxiv.org/abs/1706.04599).

    Args:
        labels: `(N,)` int64.
        logits: `(N, K)`.

    Returns:
        The temperature, within 0.05..20: above 1 where the model is too sure of itself.

    Example:
        >>> sure = np.log([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
        >>> bool(fit_temperature(np.array([0, 0, 1]), sure) > 1)
        True
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return log_loss(labels, log_softmax(logits / np.exp(exponent)))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """How far confidence is from accuracy, 0..1: the mean over bins of equal width, weighted by their images.

    https://arxiv.org/abs/1706.04599, section 2, with 15 bins as there.

    Example:
        >>> float(expected_calibration_error(np.array([0, 0, 1, 1]), np.array([[0.75, 0.25]] * 4)))
        0.25
    """
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=right - confidences.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def accuracy_interval(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """Wilson's 95 % interval of the accuracy, 0..1 (https://doi.org/10.1080/01621459.1927.10502953)."""
    from scipy.stats import binomtest

    hits = int(np.sum(probabilities.argmax(axis=1) == labels))
    interval = binomtest(hits, len(labels)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def score(labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...]) -> dict[str, Any]:
    """All metrics of one model on one split.

    Args:
        labels: `(N,)` int64.
        probabilities: `(N, K)`, 0..1.
        class_names: K names.

    Returns:
        `images, accuracy, accuracy_interval, macro_f1, log_loss, expected_calibration_error, per_class, confusion,
        class_names`. `per_class`
        holds precision, recall, f1 and images by name; classes that do not occur have null scores and are left out
        of `macro_f1`. `confusion[i][j]` counts images of class i taken for class j.

    Example:
        >>> score(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]), ("sad", "happy"))["accuracy"]
        1.0
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1)
    indices = np.arange(len(class_names))
    scores = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    per_class = {}
    for name, precision, recall, f1, images in zip(class_names, *scores, strict=True):
        present = bool(images)
        per_class[name] = {
            "precision": float(precision) if present else None,
            "recall": float(recall) if present else None,
            "f1": float(f1) if present else None,
            "images": int(images),
        }
    floor = np.finfo(np.float32).tiny  # a probability of 0 in float32 must not make the loss infinite
    return {
        "images": len(labels),
        "accuracy": accuracy(labels, probabilities),
        "accuracy_interval": accuracy_interval(labels, probabilities),
        "macro_f1": float(np.mean([row["f1"] for row in per_class.values() if row["images"]])),
        "log_loss": log_loss(labels, np.log(np.maximum(probabilities.astype(np.float64), floor))),
        "expected_calibration_error": expected_calibration_error(labels, probabilities),
        "per_class": per_class,
        "confusion": confusion_matrix(labels, predicted, labels=indices).tolist(),
        "class_names": list(class_names),
    }
