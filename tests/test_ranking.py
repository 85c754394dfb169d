"""Ranking and differences, against values worked out by hand or by scipy."""

import numpy as np
import pytest
from scipy import stats

from ferlab.ranking import differences, rank, seeds_half_width
from tests.comparisons import entry


def test_rank_averages_seeds_and_leaves_failures_out() -> None:
    rows = rank(
        [entry("a", 0.60), entry("a", 0.64, 1), entry("b", 0.70), entry("c", 0.99, validation=None)], "validation"
    )
    assert [(row["rank"], row["recipe"], row["seeds"]) for row in rows] == [(1, "b", 1), (2, "a", 2)]
    assert rows[1]["accuracy"] == pytest.approx(0.62)
    assert rows[1]["spread"] == pytest.approx(0.02 * 2**0.5)
    assert rows[1]["seed_interval"] == pytest.approx([0.62 - 12.7062 * 0.02, 0.62 + 12.7062 * 0.02], rel=1e-4)
    assert rows[0]["spread"] is None
    assert rows[0]["seed_interval"] is None


def test_the_interval_over_seeds_is_welchs() -> None:
    one, other = [0.70, 0.72, 0.71], [0.66, 0.70, 0.65, 0.69]
    interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert seeds_half_width(one, other) == pytest.approx((interval.high - interval.low) / 2)
    assert seeds_half_width(one, [0.7]) == 0
    assert seeds_half_width([0.7, 0.7], [0.6, 0.6]) == 0


def test_differences_are_paired_image_by_image() -> None:
    """Two models with the same mistakes differ surely by what two independent ones would not."""
    generator = np.random.default_rng(0)
    good = generator.random(1000) < 0.65
    worse = good.copy()
    worse[np.flatnonzero(good)[:20]] = False
    (paired,) = differences({"good": [good], "worse": [worse]})
    assert paired["difference"] == pytest.approx(0.02)
    assert paired["interval"][0] > 0
    assert paired["seeds"] is False
    (shuffled,) = differences({"good": [good], "worse": [generator.permutation(worse)]})
    assert shuffled["interval"][0] < 0 < shuffled["interval"][1]


def test_noise_between_seeds_widens_the_interval() -> None:
    generator = np.random.default_rng(0)
    steady = [generator.random(1000) < 0.6 for _ in range(3)]
    noisy = [generator.random(1000) < share for share in (0.4, 0.5, 0.6)]
    narrow, wide = differences({"a": steady[:1], "b": noisy[:1]})[0], differences({"a": steady, "b": noisy})[0]
    assert wide["seeds"] is True
    assert np.diff(wide["interval"]) > 2 * np.diff(narrow["interval"])
