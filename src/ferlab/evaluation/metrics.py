"""Metrics: pure functions of labels `(N,)` and of probabilities or logits `(N, K)`."""

import math
from importlib.util import find_spec

import numpy as np

from ferlab.errors import MissingExtraError
from ferlab.results import (
    AccuracyEstimate,
    AccuracyGap,
    ClassScores,
    CoveragePoint,
    GroupAccuracies,
    Interval,
    Metrics,
    ReliabilityBin,
    SelectivePrediction,
)

RESAMPLES = 2000  # of a bootstrap


def check_libraries() -> None:
    """Check, before a model is run, that the libraries for its metrics are installed.

    Raises:
        MissingExtraError: if one is not.
    """
    for module in ("pydantic", "scipy", "sklearn"):
        if find_spec(module) is None:
            raise MissingExtraError("evaluate", module)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the log-probabilities `(N, K)` of logits `(N, K)` in float64."""
    from scipy.special import log_softmax as scipy_log_softmax

    return scipy_log_softmax(logits.astype(np.float64), axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the probabilities `(N, K)` of logits `(N, K)` in float64."""
    return np.exp(log_softmax(logits))


def safe_log(probabilities: np.ndarray) -> np.ndarray:
    """Compute logarithms in float64, where a float32 probability of 0 counts as the smallest positive one."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the top-1 accuracy, 0..1."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def log_loss(labels: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Compute the mean negative log-likelihood of the labels, in nats.

    It takes log-probabilities, unlike scikit-learn's function, which clips small probabilities.
    """
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Find the temperature that, dividing the logits, gives the lowest log loss (https://arxiv.org/abs/1706.04599).

    Args:
        labels: `(N,)` int64.
        logits: `(N, K)`.

    Returns:
        The temperature, 0.05..20; above 1 for an overconfident model.

    Example:
        >>> overconfident = np.log([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
        >>> bool(fit_temperature(np.array([0, 0, 1]), overconfident) > 1)
        True
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return log_loss(labels, log_softmax(logits / np.exp(exponent)))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def top_k_accuracy(labels: np.ndarray, probabilities: np.ndarray, k: int = 2) -> float:
    """Compute the share of images whose label is among the k most probable classes, 0..1, for any number of classes."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    return float(np.mean(np.sum(probabilities > own, axis=1) < k))


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the mean squared distance between probabilities and one-hot labels, 0..2.

    https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, in its original form for several classes.

    Example:
        >>> brier_score(np.array([0]), np.array([[0.5, 0.5]]))
        0.5
    """
    one_hot = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Compute a reliability diagram: accuracy by confidence (https://arxiv.org/abs/1706.04599).

    Args:
        labels: `(N,)`.
        probabilities: `(N, K)`.
        bins: number of bins of equal width between 0 and 1.

    Returns:
        The bins that hold images.

    Example:
        >>> reliability(np.array([0, 0, 1, 1]), np.array([[0.75, 0.25]] * 4))
        (ReliabilityBin(confidence=0.75, accuracy=0.5, images=4),)
    """
    confidences, correct = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    return tuple(
        ReliabilityBin(
            confidence=float(confidences[bin_of == number].mean()),
            accuracy=float(correct[bin_of == number].mean()),
            images=int(np.sum(bin_of == number)),
        )
        for number in np.unique(bin_of)
    )


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Compute the mean distance between confidence and accuracy over bins, weighted by their images, 0..1.

    https://arxiv.org/abs/1706.04599, section 2, with 15 bins as there.

    Example:
        >>> float(expected_calibration_error(np.array([0, 0, 1, 1]), np.array([[0.75, 0.25]] * 4)))
        0.25
    """
    rows = reliability(labels, probabilities, bins)
    return sum(row.images * abs(row.accuracy - row.confidence) for row in rows) / len(labels)


def risk_coverage(labels: np.ndarray, probabilities: np.ndarray, steps: int = 20) -> tuple[CoveragePoint, ...]:
    """Compute the risk-coverage curve: accuracy of the most confident predictions (https://arxiv.org/abs/1705.08500).

    Of predictions with equal confidence, as many as needed are chosen, and have their mean accuracy.

    Args:
        labels: `(N,)`.
        probabilities: `(N, K)`.
        steps: number of points.

    Returns:
        The points, from the most confident predictions alone to all of them.
    """
    confidences, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    values, positions = np.unique(-confidences, return_inverse=True)
    means = np.bincount(positions, weights=correct) / np.bincount(positions)
    order = np.argsort(positions, kind="stable")
    ranked, thresholds = means[positions[order]], -values[positions[order]]
    sizes = [max(1, round(len(labels) * step / steps)) for step in range(1, steps + 1)]
    return tuple(
        CoveragePoint(
            coverage=size / len(labels),
            accuracy=float(ranked[:size].mean()),
            threshold=float(thresholds[size - 1]),
        )
        for size in sizes
    )


def bootstrap_mean(values: np.ndarray, groups: np.ndarray) -> tuple[Interval, float]:
    """Bootstrap a mean by resampling whole groups of copies (https://doi.org/10.1214/aos/1176344552).

    Copies of an image get the same prediction: resampled one by one, they would count as independent evidence.

    Args:
        values: `(N,)`, such as 1 for a correct and 0 for an incorrect prediction.
        groups: `(N,)` number of each image's group, as `ferlab.data.copies.group_copies` returns them.

    Returns:
        The percentiles 2.5 and 97.5 of the means of 2,000 resamples, always the same ones, and their standard
        deviation.
    """
    from scipy.stats import bootstrap

    _, positions = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(positions, weights=values), np.bincount(positions)
    if len(sums) < 2:
        return (float(np.mean(values)), float(np.mean(values))), 0.0
    result = bootstrap(
        (np.arange(len(sums)),),
        lambda chosen, axis: sums[chosen].sum(axis=axis) / sizes[chosen].sum(axis=axis),
        n_resamples=RESAMPLES,
        batch=100,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = result.confidence_interval
    return (float(interval.low), float(interval.high)), float(result.standard_error)


def accuracy_interval(correct: np.ndarray, groups: np.ndarray) -> Interval:
    """Compute the 95 % interval of an accuracy: by bootstrap, or Wilson's where all predictions are (in)correct.

    Resamples of equal values are all equal, and would suggest certainty
    (https://doi.org/10.1080/01621459.1927.10502953).

    Args:
        correct: `(N,)` bool, whether each prediction is correct.
        groups: `(N,)` number of each image's group of copies.

    Example:
        >>> [round(bound, 3) for bound in accuracy_interval(np.ones(12, bool), np.arange(12))]
        [0.758, 1.0]
    """
    if correct.any() and not correct.all():
        return bootstrap_mean(correct.astype(np.float64), groups)[0]
    from scipy.stats import binomtest

    size = len(np.unique(groups))
    interval = binomtest(size if correct.all() else 0, size).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def estimate_accuracy(correct: np.ndarray, groups: np.ndarray) -> AccuracyEstimate:
    """Compute an accuracy with its interval.

    Args:
        correct: `(N,)` bool, whether each prediction is correct.
        groups: `(N,)` number of each image's group of copies.
    """
    if not len(correct):
        return AccuracyEstimate(images=0, accuracy=None)
    interval = accuracy_interval(correct, groups)
    return AccuracyEstimate(images=len(correct), accuracy=float(correct.mean()), accuracy_interval=interval)


def accuracy_by_group(correct: np.ndarray, copies: np.ndarray, groups: np.ndarray) -> GroupAccuracies:
    """Compute the accuracy of each group of people or images.

    Args:
        correct: `(N,)` bool.
        copies: `(N,)` number of each image's group of copies.
        groups: `(N,)` str, name of the group of each image; images with an empty name are left out.

    Returns:
        The accuracies by name, and the largest gap, whose interval assumes that the two groups are independent.
    """
    names = sorted(set(groups.tolist()) - {""})
    by_name = {name: estimate_accuracy(correct[groups == name], copies[groups == name]) for name in names}
    return GroupAccuracies(groups=by_name, largest_gap=_largest_gap(by_name) if len(by_name) > 1 else None)


def _largest_gap(by_name: dict[str, AccuracyEstimate]) -> AccuracyGap:
    known = {name: (row.accuracy, row.accuracy_interval) for name, row in by_name.items()}
    shares = {name: share for name, (share, _) in known.items() if share is not None}
    lower, *_, higher = sorted(shares, key=shares.__getitem__)
    halves = [(interval[1] - interval[0]) / 2 for name in (higher, lower) if (interval := known[name][1])]
    difference, half = shares[higher] - shares[lower], math.hypot(*halves)
    return AccuracyGap(
        higher=higher, lower=lower, difference=difference, interval=(difference - half, difference + half)
    )


def selective_prediction(
    labels: np.ndarray, probabilities: np.ndarray, copies: np.ndarray, threshold: float
) -> SelectivePrediction:
    """Compute coverage and accuracy of the predictions whose confidence reaches a threshold, 0..1."""
    kept = probabilities.max(axis=1) >= threshold
    estimate = estimate_accuracy((probabilities.argmax(axis=1) == labels)[kept], copies[kept])
    return SelectivePrediction(threshold=threshold, coverage=float(kept.mean()), **vars(estimate))


def compute_metrics(
    labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...], copies: np.ndarray | None = None
) -> Metrics:
    """Compute all metrics of probabilities on labeled images.

    Args:
        labels: `(N,)` int64.
        probabilities: `(N, K)`, 0..1.
        class_names: K names.
        copies: `(N,)` number of each image's group of copies; None if all images differ.

    Returns:
        The metrics. Classes without images have null scores and are left out of the means.

    Example:
        >>> compute_metrics(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]), ("sad", "happy")).accuracy
        1.0
    """
    from sklearn.metrics import confusion_matrix

    predicted = probabilities.argmax(axis=1)
    per_class = _class_scores(labels, predicted, class_names)
    confusion = confusion_matrix(labels, predicted, labels=np.arange(len(class_names)))
    return Metrics(
        images=len(labels),
        accuracy=accuracy(labels, probabilities),
        accuracy_interval=accuracy_interval(predicted == labels, np.arange(len(labels)) if copies is None else copies),
        balanced_accuracy=float(np.mean([row.recall for row in per_class.values() if row.recall is not None])),
        top2_accuracy=top_k_accuracy(labels, probabilities),
        macro_f1=float(np.mean([row.f1 for row in per_class.values() if row.f1 is not None])),
        log_loss=log_loss(labels, safe_log(probabilities)),
        brier_score=brier_score(labels, probabilities),
        expected_calibration_error=expected_calibration_error(labels, probabilities),
        reliability=reliability(labels, probabilities),
        risk_coverage=risk_coverage(labels, probabilities),
        per_class=per_class,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        class_names=class_names,
    )


def _class_scores(labels: np.ndarray, predicted: np.ndarray, class_names: tuple[str, ...]) -> dict[str, ClassScores]:
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(labels, predicted, labels=np.arange(len(class_names)), zero_division=0)
    return {
        name: ClassScores(
            precision=float(precision) if images else None,
            recall=float(recall) if images else None,
            f1=float(f1) if images else None,
            images=int(images),
        )
        for name, precision, recall, f1, images in zip(class_names, *scores, strict=True)
    }
