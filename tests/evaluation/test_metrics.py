"""Metrics against values worked out by hand and by scikit-learn."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from ferlab.evaluation.metrics import (
    accuracy_by_group,
    accuracy_interval,
    answered,
    bootstrap_interval,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    log_softmax,
    reliability,
    risk_coverage,
    score,
    top_k_accuracy,
)

LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]],
)
NAMES = ("angry", "happy", "sad", "neutral")


def scored() -> dict:
    padded = np.hstack([PROBABILITIES, np.zeros((5, 1))])
    return score(LABELS, padded, NAMES)


def test_by_hand() -> None:
    result = scored()
    assert result["accuracy"] == 3 / 5
    assert result["confusion"] == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert result["per_class"]["angry"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "images": 2}
    assert result["per_class"]["happy"]["recall"] == 1.0
    assert result["log_loss"] == pytest.approx(-np.log([0.8, 0.2, 0.8, 0.6, 0.2]).mean())


def test_absent_classes_have_no_score_and_do_not_count() -> None:
    result = scored()
    assert result["per_class"]["neutral"] == {"precision": None, "recall": None, "f1": None, "images": 0}
    assert result["macro_f1"] == pytest.approx((0.5 + 0.8 + 0.0) / 3)


def test_against_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 4
    probabilities = generator.dirichlet(np.ones(4), 200)
    result = score(labels, probabilities, NAMES)
    predicted = probabilities.argmax(axis=1)
    assert result["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert result["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert result["log_loss"] == pytest.approx(reference.log_loss(labels, probabilities))

    assert result["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert result["top2_accuracy"] == pytest.approx(reference.top_k_accuracy_score(labels, probabilities, k=2))


def test_brier_score_by_hand() -> None:
    """Squared distances: 0.2^2 + 0.1^2 + 0.1^2 = 0.06, and so on."""
    assert brier_score(LABELS, PROBABILITIES) == pytest.approx(np.mean([0.06, 1.14, 0.06, 0.26, 0.98]))


def test_top_2_by_hand() -> None:
    """In the second image the label comes second, in the last one third."""
    assert top_k_accuracy(LABELS, PROBABILITIES) == 4 / 5


def test_reliability_by_hand() -> None:
    """Five bins of a fifth: 0.8, 0.8 lie in the last one; 0.7, 0.6 in the fourth; 0.5 in the third."""
    assert reliability(LABELS, PROBABILITIES, bins=5) == [
        {"confidence": 0.5, "accuracy": 0.0, "images": 1},
        {"confidence": pytest.approx(0.65), "accuracy": 0.5, "images": 2},
        {"confidence": pytest.approx(0.8), "accuracy": 1.0, "images": 2},
    ]
    expected = (1 * 0.5 + 2 * 0.15 + 2 * 0.2) / 5
    assert expected_calibration_error(LABELS, PROBABILITIES, bins=5) == pytest.approx(expected)


def test_risk_and_coverage_by_hand() -> None:
    """Surest first: right, right, wrong, right, wrong."""
    curve = risk_coverage(LABELS, PROBABILITIES, steps=5)
    assert [row["coverage"] for row in curve] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert [row["accuracy"] for row in curve] == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert [row["threshold"] for row in curve] == [0.8, 0.8, 0.7, 0.6, 0.5]


def test_abstaining_by_hand() -> None:
    kept = answered(LABELS, PROBABILITIES, np.arange(5), 0.65)
    assert (kept["threshold"], kept["coverage"], kept["images"]) == (0.65, 0.6, 3)
    assert kept["accuracy"] == pytest.approx(2 / 3)
    nothing = answered(LABELS, PROBABILITIES, np.arange(5), 0.99)
    assert (nothing["coverage"], nothing["accuracy"]) == (0.0, None)


def test_bootstrap_of_single_images_is_nearly_wilsons_interval() -> None:
    right = (np.arange(1000) < 700).astype(float)
    wilson = binomtest(700, 1000).proportion_ci(method="wilson")
    low, high = bootstrap_interval(right, np.arange(1000))
    assert (low, high) == (pytest.approx(wilson.low, abs=0.005), pytest.approx(wilson.high, abs=0.005))


def test_no_number_of_equal_answers_is_certain() -> None:
    """Twelve of twelve by Wilson's formula; copies count once; the mirror image where all are wrong."""
    right, z = np.ones(12, bool), 1.959964
    low, high = accuracy_interval(right, np.arange(12))
    assert (low, high) == (pytest.approx(12 / (12 + z**2), rel=1e-5), 1)
    assert accuracy_interval(np.ones(36, bool), np.repeat(np.arange(12), 3)) == (low, high)
    assert accuracy_interval(~right, np.arange(12)) == pytest.approx((0, 1 - low))
    (groups, gap) = accuracy_by_group(np.array([True, False]), np.arange(2), np.array(["a", "b"])).values()
    assert groups["a"]["accuracy_interval"][0] < 0.3
    assert gap["interval"][0] < 0.5


def test_bootstrap_draws_groups() -> None:
    """A thousand images in ten groups, each right or wrong as a whole, are worth ten images."""
    right = np.repeat(np.arange(10) < 7, 100).astype(float)
    low, high = bootstrap_interval(right, np.repeat(np.arange(10), 100))
    assert high - low > 0.4
    assert bootstrap_interval(right, np.zeros(1000, int)) == (pytest.approx(0.7), pytest.approx(0.7))


def test_accuracy_by_group() -> None:
    right = np.array([True] * 60 + [False] * 40 + [True] * 30 + [False] * 70 + [True] * 5)
    of = np.array(["a"] * 100 + ["b"] * 100 + [""] * 5)
    result = accuracy_by_group(right, np.arange(205), of)
    assert {name: row["accuracy"] for name, row in result["groups"].items()} == {"a": 0.6, "b": 0.3}
    gap = result["largest_gap"]
    assert (gap["higher"], gap["lower"], gap["difference"]) == ("a", "b", pytest.approx(0.3))
    half = 1.96 * (0.6 * 0.4 / 100 + 0.3 * 0.7 / 100) ** 0.5  # of two independent shares
    assert gap["interval"] == [pytest.approx(0.3 - half, abs=0.02), pytest.approx(0.3 + half, abs=0.02)]
    assert accuracy_by_group(right[:100], np.arange(100), of[:100])["largest_gap"] is None


def test_log_softmax_survives_large_logits() -> None:
    logits = np.array([[1000.0, 999.0, -1000.0]], np.float32)
    assert np.exp(log_softmax(logits)).sum() == pytest.approx(1.0)
    assert log_softmax(logits)[0, 0] == pytest.approx(-np.log(1 + np.exp(-1)))


def test_a_model_that_is_three_times_too_sure_has_temperature_three() -> None:
    generator = np.random.default_rng(0)
    true = generator.dirichlet(np.ones(4), 20_000)
    labels = (true.cumsum(axis=1) > generator.random((len(true), 1))).argmax(axis=1)
    assert fit_temperature(labels, 3 * np.log(true)) == pytest.approx(3, rel=0.05)
    assert expected_calibration_error(labels, true) < 0.01
    sure = np.exp(log_softmax(3 * np.log(true)))
    assert expected_calibration_error(labels, sure) == pytest.approx(
        np.mean(sure.max(axis=1)) - np.mean(sure.argmax(axis=1) == labels), abs=0.01
    )
