"""Metrics: pure functions of labels `(N,)` and probabilities `(N, K)` or logits, on NumPy and scikit-learn."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from ferlab.errors import MissingExtraError

RESAMPLES = 2000  # of a bootstrap


def check_libraries() -> None:
    """Checks, before a model is asked, that the libraries are there which its scores are made with.

    Raises:
        MissingExtraError: if one is not.
    """
    for module in ("scipy", "sklearn"):
        if find_spec(module) is None:
            raise MissingExtraError("evaluate", module)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities `(N, K)` that logits `(N, K)` stand for, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def safe_log(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms in float64; a probability of 0 in float32 counts as the smallest one above it, not as impossible."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


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


def top_k_accuracy(labels: np.ndarray, probabilities: np.ndarray, k: int = 2) -> float:
    """Share of images whose label is among the k most probable classes, 0..1."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    return float(np.mean(np.sum(probabilities > own, axis=1) < k))


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over images of the squared distance of the probabilities from the truth, 0..2: 0 for sure and right.

    https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, in its original form for several classes.

    Example:
        >>> brier_score(np.array([0]), np.array([[0.5, 0.5]]))
        0.5
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> list[dict[str, float]]:
    """How often answers are right, by how sure they are: a reliability diagram (https://arxiv.org/abs/1706.04599).

    Args:
        labels: `(N,)`.
        probabilities: `(N, K)`.
        bins: number of bins of equal width between 0 and 1.

    Returns:
        Per bin with images `confidence` (mean), `accuracy`, both 0..1, and `images`.

    Example:
        >>> reliability(np.array([0, 0, 1, 1]), np.array([[0.75, 0.25]] * 4))
        [{'confidence': 0.75, 'accuracy': 0.5, 'images': 4}]
    """
    confidences, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidences[bin_of == number].mean()),
            "accuracy": float(right[bin_of == number].mean()),
            "images": int(np.sum(bin_of == number)),
        }
        for number in np.unique(bin_of)
    ]


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """How far confidence is from accuracy, 0..1: the mean over bins of equal width, weighted by their images.

    https://arxiv.org/abs/1706.04599, section 2, with 15 bins as there.

    Example:
        >>> float(expected_calibration_error(np.array([0, 0, 1, 1]), np.array([[0.75, 0.25]] * 4)))
        0.25
    """
    rows = reliability(labels, probabilities, bins)
    return sum(row["images"] * abs(row["accuracy"] - row["confidence"]) for row in rows) / len(labels)


def risk_coverage(labels: np.ndarray, probabilities: np.ndarray, steps: int = 20) -> list[dict[str, float]]:
    """How accurate the surest answers are: the risk-coverage curve (https://arxiv.org/abs/1705.08500).

    Args:
        labels: `(N,)`.
        probabilities: `(N, K)`.
        steps: points of the curve.

    Returns:
        For each share of images that is answered, the surest first: `coverage` and `accuracy`, 0..1, and `threshold`,
        the lowest confidence among them.
    """
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidences, kind="stable")
    curve = []
    for step in range(1, steps + 1):
        answered = order[: max(1, round(len(labels) * step / steps))]
        curve.append(
            {
                "coverage": len(answered) / len(labels),
                "accuracy": float(right[answered].mean()),
                "threshold": float(confidences[answered[-1]]),
            }
        )
    return curve


def bootstrap_interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % interval of a mean, by drawing whole groups of copies again (https://doi.org/10.1214/aos/1176344552).

    Copies of an image are answered alike: drawn one by one, they would pass for independent evidence.

    Args:
        values: `(N,)`, such as 1 for a right and 0 for a wrong answer.
        groups: `(N,)` number of each image's group, as `ferlab.data.copies.group_copies` gives them.

    Returns:
        The percentiles 2.5 and 97.5 of the means of 2,000 draws, always the same ones.
    """
    from scipy.stats import bootstrap

    _, positions = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(positions, weights=values), np.bincount(positions)
    if len(sums) < 2:
        return float(np.mean(values)), float(np.mean(values))
    drawn = bootstrap(
        (np.arange(len(sums)),),
        lambda chosen, axis: sums[chosen].sum(axis=axis) / sizes[chosen].sum(axis=axis),
        n_resamples=RESAMPLES,
        batch=100,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def accuracy_interval(right: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % interval of an accuracy: that of `bootstrap_interval`, or Wilson's where all answers are right or all wrong.

    Draws of equal values are all equal, and would pass for certainty (https://doi.org/10.1080/01621459.1927.10502953).

    Args:
        right: `(N,)` bool, whether each answer is right.
        groups: `(N,)` number of each image's group of copies.

    Example:
        >>> [round(bound, 3) for bound in accuracy_interval(np.ones(12, bool), np.arange(12))]
        [0.758, 1.0]
    """
    if right.any() and not right.all():
        return bootstrap_interval(right.astype(np.float64), groups)
    from scipy.stats import binomtest

    size = len(np.unique(groups))
    interval = binomtest(size if right.all() else 0, size).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def accuracy_of(right: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Accuracy on some images: `images`, `accuracy` and `accuracy_interval`; both null where there is no image.

    Args:
        right: `(N,)` bool, whether each answer is right.
        groups: `(N,)` number of each image's group of copies.
    """
    if not len(right):
        return {"images": 0, "accuracy": None, "accuracy_interval": None}
    interval = accuracy_interval(right, groups)
    return {"images": len(right), "accuracy": float(right.mean()), "accuracy_interval": interval}


def accuracy_by_group(right: np.ndarray, groups: np.ndarray, of: np.ndarray) -> dict[str, Any]:
    """Accuracy on groups of people or pictures, as somebody else has named them.

    Args:
        right: `(N,)` bool.
        groups: `(N,)` number of each image's group of copies.
        of: `(N,)` str, the group that each image is counted in; those with an empty name are not.

    Returns:
        `groups`: by name what `accuracy_of` gives; and `largest_gap`: null where there are fewer than two, else
        `higher, lower, difference, interval`. The interval takes the two for independent.
    """
    names = sorted(set(of.tolist()) - {""})
    rows = {name: accuracy_of(right[of == name], groups[of == name]) for name in names}
    if len(rows) < 2:
        return {"groups": rows, "largest_gap": None}
    higher, lower = (
        max(rows, key=lambda name: rows[name]["accuracy"]),
        min(rows, key=lambda name: rows[name]["accuracy"]),
    )
    gap = rows[higher]["accuracy"] - rows[lower]["accuracy"]
    halves = [np.diff(rows[name]["accuracy_interval"])[0] / 2 for name in (higher, lower)]
    half = float(np.hypot(*halves))
    return {
        "groups": rows,
        "largest_gap": {"higher": higher, "lower": lower, "difference": gap, "interval": [gap - half, gap + half]},
    }


def answered(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, threshold: float) -> dict[str, Any]:
    """What remains where a model answers only if its highest probability reaches a threshold.

    Returns:
        `threshold`, `coverage` (share of images that are answered, 0..1) and what `accuracy_of` gives for those.
    """
    sure = probabilities.max(axis=1) >= threshold
    right = (probabilities.argmax(axis=1) == labels)[sure]
    return {"threshold": threshold, "coverage": float(sure.mean()), **accuracy_of(right, groups[sure])}


def score(
    labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...], groups: np.ndarray | None = None
) -> dict[str, Any]:
    """All metrics of one model on one split.

    Args:
        labels: `(N,)` int64.
        probabilities: `(N, K)`, 0..1.
        class_names: K names.
        groups: `(N,)` number of each image's group of copies; None where no image is there twice.

    Returns:
        `images, accuracy, accuracy_interval, balanced_accuracy, top2_accuracy, macro_f1, log_loss, brier_score,
        expected_calibration_error, reliability, risk_coverage, per_class, confusion, class_names`. The interval is
        that of `accuracy_interval`; `balanced_accuracy` is the mean recall. `per_class` holds precision, recall, f1
        and images by name; classes that do not occur have null scores and are left out of the means.
        `confusion[i][j]` counts images of class i taken for class j.

    Example:
        >>> score(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]), ("sad", "happy"))["accuracy"]
        1.0
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
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
    return {
        "images": len(labels),
        "accuracy": accuracy(labels, probabilities),
        "accuracy_interval": accuracy_interval(right, np.arange(len(labels)) if groups is None else groups),
        "balanced_accuracy": float(np.mean([row["recall"] for row in per_class.values() if row["images"]])),
        "top2_accuracy": top_k_accuracy(labels, probabilities),
        "macro_f1": float(np.mean([row["f1"] for row in per_class.values() if row["images"]])),
        "log_loss": log_loss(labels, safe_log(probabilities)),
        "brier_score": brier_score(labels, probabilities),
        "expected_calibration_error": expected_calibration_error(labels, probabilities),
        "reliability": reliability(labels, probabilities),
        "risk_coverage": risk_coverage(labels, probabilities),
        "per_class": per_class,
        "confusion": confusion_matrix(labels, predicted, labels=indices).tolist(),
        "class_names": list(class_names),
    }
