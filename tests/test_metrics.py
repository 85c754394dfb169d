"""Metrics against values worked out by hand and by scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from ferlab.metrics import expected_calibration_error, fit_temperature, log_softmax, score

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


def test_interval_is_wilsons() -> None:
    """Worked example: 15 of 20; centre (0.75 + z^2/40) / (1 + z^2/20) = 0.70971, half width 0.17859."""
    labels = np.zeros(20, int)
    probabilities = np.tile([0.9, 0.1], (20, 1))
    probabilities[:5] = [0.1, 0.9]
    low, high = score(labels, probabilities, ("sad", "happy"))["accuracy_interval"]
    assert (low, high) == (pytest.approx(0.5313, abs=1e-4), pytest.approx(0.8881, abs=1e-4))


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
