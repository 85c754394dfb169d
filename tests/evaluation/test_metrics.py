"""Metrics compared with values computed by hand and by scikit-learn."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from ferlab.evaluation.metrics import (
    accuracy_by_group,
    accuracy_interval,
    bootstrap_mean,
    brier_score,
    compute_metrics,
    estimate_accuracy,
    expected_calibration_error,
    fit_temperature,
    log_softmax,
    reliability,
    risk_coverage,
    selective_prediction,
    top_k_accuracy,
)
from ferlab.results import AccuracyEstimate, ClassScores, Metrics, ReliabilityBin

LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]],
)
NAMES = ("angry", "happy", "sad", "neutral")


def metrics() -> Metrics:
    """The metrics for four classes, of which the last one does not occur."""
    padded = np.hstack([PROBABILITIES, np.zeros((5, 1))])
    return compute_metrics(LABELS, padded, NAMES)


def test_metrics_are_as_computed_by_hand() -> None:
    result = metrics()
    assert (result.images, result.class_names) == (5, NAMES)
    assert result.accuracy == 3 / 5
    assert result.confusion == ((1, 1, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0))
    assert result.per_class["angry"] == ClassScores(precision=0.5, recall=0.5, f1=0.5, images=2)
    assert result.per_class["happy"].recall == 1.0
    assert result.log_loss == pytest.approx(-np.log([0.8, 0.2, 0.8, 0.6, 0.2]).mean())


def test_classes_without_images_have_no_scores_and_are_left_out_of_means() -> None:
    result = metrics()
    assert result.per_class["neutral"] == ClassScores(precision=None, recall=None, f1=None, images=0)
    assert result.macro_f1 == pytest.approx((0.5 + 0.8 + 0.0) / 3)
    assert result.balanced_accuracy == pytest.approx((0.5 + 1.0 + 0.0) / 3)


def test_metrics_equal_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 4
    probabilities = generator.dirichlet(np.ones(4), 200)
    result = compute_metrics(labels, probabilities, NAMES)
    predicted = probabilities.argmax(axis=1)
    assert result.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert result.macro_f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert result.log_loss == pytest.approx(reference.log_loss(labels, probabilities))
    assert result.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert result.top2_accuracy == pytest.approx(reference.top_k_accuracy_score(labels, probabilities, k=2))


def test_the_brier_score_is_as_computed_by_hand() -> None:
    """Squared distances: 0.2^2 + 0.1^2 + 0.1^2 = 0.06, and so on."""
    assert brier_score(LABELS, PROBABILITIES) == pytest.approx(np.mean([0.06, 1.14, 0.06, 0.26, 0.98]))


def test_the_top_2_accuracy_is_as_computed_by_hand() -> None:
    """In the second image the label comes second, in the last one third."""
    assert top_k_accuracy(LABELS, PROBABILITIES) == 4 / 5


def test_the_reliability_diagram_is_as_computed_by_hand() -> None:
    """Of five bins, 0.8 and 0.8 lie in the last one; 0.7 and 0.6 in the fourth; 0.5 in the third."""
    assert reliability(LABELS, PROBABILITIES, bins=5) == (
        ReliabilityBin(confidence=0.5, accuracy=0.0, images=1),
        ReliabilityBin(confidence=pytest.approx(0.65), accuracy=0.5, images=2),
        ReliabilityBin(confidence=pytest.approx(0.8), accuracy=1.0, images=2),
    )
    expected = (1 * 0.5 + 2 * 0.15 + 2 * 0.2) / 5
    assert expected_calibration_error(LABELS, PROBABILITIES, bins=5) == pytest.approx(expected)


def test_the_risk_coverage_curve_is_as_computed_by_hand() -> None:
    """From the most confident prediction on: correct, correct, incorrect, correct, incorrect."""
    curve = risk_coverage(LABELS, PROBABILITIES, steps=5)
    assert [point.coverage for point in curve] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert [point.accuracy for point in curve] == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert [point.threshold for point in curve] == [0.8, 0.8, 0.7, 0.6, 0.5]


def test_the_order_of_equally_confident_predictions_does_not_matter() -> None:
    frequencies = np.tile([0.4, 0.6], (10, 1))
    curve = risk_coverage(np.repeat([0, 1], [4, 6]), frequencies, steps=5)
    assert [point.accuracy for point in curve] == pytest.approx([0.6] * 5)


def test_selective_prediction_is_as_computed_by_hand() -> None:
    kept = selective_prediction(LABELS, PROBABILITIES, np.arange(5), 0.65)
    assert (kept.threshold, kept.coverage, kept.images) == (0.65, 0.6, 3)
    assert kept.accuracy == pytest.approx(2 / 3)
    nothing = selective_prediction(LABELS, PROBABILITIES, np.arange(5), 0.99)
    assert (nothing.coverage, nothing.accuracy, nothing.accuracy_interval) == (0.0, None, None)


def test_an_accuracy_without_images_is_null() -> None:
    nothing = estimate_accuracy(np.zeros(0, bool), np.zeros(0, int))
    assert nothing == AccuracyEstimate(images=0, accuracy=None, accuracy_interval=None)
    correct = np.arange(10) < 7
    known = estimate_accuracy(correct, np.arange(10))
    assert (known.images, known.accuracy) == (10, 0.7)
    assert known.accuracy_interval == accuracy_interval(correct, np.arange(10))


def test_the_bootstrap_interval_of_distinct_images_is_close_to_wilsons() -> None:
    correct = (np.arange(1000) < 700).astype(float)
    wilson = binomtest(700, 1000).proportion_ci(method="wilson")
    (low, high), standard_error = bootstrap_mean(correct, np.arange(1000))
    assert (low, high) == (pytest.approx(wilson.low, abs=0.005), pytest.approx(wilson.high, abs=0.005))
    assert standard_error == pytest.approx((0.7 * 0.3 / 1000) ** 0.5, rel=0.05)


def test_the_interval_of_equal_outcomes_has_a_width() -> None:
    """Twelve correct predictions of twelve by Wilson's formula; copies count once; the reverse if all are incorrect."""
    correct, z = np.ones(12, bool), 1.959964
    low, high = accuracy_interval(correct, np.arange(12))
    assert (low, high) == (pytest.approx(12 / (12 + z**2), rel=1e-5), 1)
    assert accuracy_interval(np.ones(36, bool), np.repeat(np.arange(12), 3)) == (low, high)
    assert accuracy_interval(~correct, np.arange(12)) == pytest.approx((0, 1 - low))
    result = accuracy_by_group(np.array([True, False]), np.arange(2), np.array(["a", "b"]))
    assert result.groups["a"].accuracy_interval is not None
    assert result.groups["a"].accuracy_interval[0] < 0.3
    assert result.largest_gap is not None
    assert result.largest_gap.interval[0] < 0.5


def test_the_bootstrap_resamples_groups_of_copies() -> None:
    """A thousand images in ten groups, each correct or incorrect as a whole, count as ten images."""
    correct = np.repeat(np.arange(10) < 7, 100).astype(float)
    (low, high), standard_error = bootstrap_mean(correct, np.repeat(np.arange(10), 100))
    assert high - low > 0.4
    assert standard_error == pytest.approx((0.7 * 0.3 / 10) ** 0.5, rel=0.1)
    assert bootstrap_mean(correct, np.zeros(1000, int)) == ((pytest.approx(0.7), pytest.approx(0.7)), 0)


def test_the_accuracy_by_group_is_as_computed_by_hand() -> None:
    correct = np.array([True] * 60 + [False] * 40 + [True] * 30 + [False] * 70 + [True] * 5)
    groups = np.array(["a"] * 100 + ["b"] * 100 + [""] * 5)
    result = accuracy_by_group(correct, np.arange(205), groups)
    assert {name: row.accuracy for name, row in result.groups.items()} == {"a": 0.6, "b": 0.3}
    gap = result.largest_gap
    assert gap is not None
    assert (gap.higher, gap.lower, gap.difference) == ("a", "b", pytest.approx(0.3))
    half = 1.96 * (0.6 * 0.4 / 100 + 0.3 * 0.7 / 100) ** 0.5  # of two independent shares
    assert gap.interval == (pytest.approx(0.3 - half, abs=0.02), pytest.approx(0.3 + half, abs=0.02))
    assert accuracy_by_group(correct[:100], np.arange(100), groups[:100]).largest_gap is None


def test_log_softmax_is_stable_for_large_logits() -> None:
    logits = np.array([[1000.0, 999.0, -1000.0]], np.float32)
    assert np.exp(log_softmax(logits)).sum() == pytest.approx(1.0)
    assert log_softmax(logits)[0, 0] == pytest.approx(-np.log(1 + np.exp(-1)))


def test_logits_that_are_three_times_too_large_have_a_temperature_of_three() -> None:
    generator = np.random.default_rng(0)
    true = generator.dirichlet(np.ones(4), 20_000)
    labels = (true.cumsum(axis=1) > generator.random((len(true), 1))).argmax(axis=1)
    assert fit_temperature(labels, 3 * np.log(true)) == pytest.approx(3, rel=0.05)
    assert expected_calibration_error(labels, true) < 0.01
    overconfident = np.exp(log_softmax(3 * np.log(true)))
    assert expected_calibration_error(labels, overconfident) == pytest.approx(
        np.mean(overconfident.max(axis=1)) - np.mean(overconfident.argmax(axis=1) == labels), abs=0.01
    )
