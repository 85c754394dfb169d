"""Ranking and differences, against values worked out by hand or by scipy."""

import numpy as np
import pytest
from scipy import stats

from ferlab.comparison.statistics import add_ties, differences, mcnemar_p_value, rank, seeds_half_width
from tests.comparisons import entry

SINGLE = np.arange(1000)  # no image is a copy of another


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
    (paired,) = differences({"good": [good], "worse": [worse]}, SINGLE)
    assert paired["difference"] == pytest.approx(0.02)
    assert paired["interval"][0] > 0
    assert paired["seeds"] is False
    assert paired["distinct"] is True
    assert paired["p_value"] == pytest.approx(2 * 0.5**20)  # 20 images of which one is right, all on one side
    (shuffled,) = differences({"good": [good], "worse": [generator.permutation(worse)]}, SINGLE)
    assert shuffled["interval"][0] < 0 < shuffled["interval"][1]
    assert shuffled["distinct"] is False


def test_the_interval_of_single_images_is_the_normal_one() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.random(1000) < 0.7, generator.random(1000) < 0.6
    (pair,) = differences({"a": [one], "b": [other]}, SINGLE)
    deviation = (one.astype(float) - other).std(ddof=1) / 1000**0.5
    assert np.diff(pair["interval"]) / 2 == pytest.approx(1.96 * deviation, rel=0.08)


def test_copies_are_no_further_evidence() -> None:
    """Each image ten times over is worth as much as once, and its interval as wide."""
    generator = np.random.default_rng(0)
    one, other = generator.random(200) < 0.7, generator.random(200) < 0.6
    (once,) = differences({"a": [one], "b": [other]}, np.arange(200))
    (copied,) = differences({"a": [np.repeat(one, 10)], "b": [np.repeat(other, 10)]}, np.repeat(np.arange(200), 10))
    np.testing.assert_allclose(copied["interval"], once["interval"])
    assert copied["p_value"] == once["p_value"]


def test_the_order_of_seeds_does_not_count_where_one_recipe_has_fewer() -> None:
    generator = np.random.default_rng(0)
    seeds, single = [generator.random(1000) < share for share in (0.4, 0.5, 0.6)], [generator.random(1000) < 0.55]
    one, other = (differences({"a": order, "b": single}, SINGLE)[0] for order in (seeds, seeds[::-1]))
    assert one == other
    assert one["seeds"] is False


def test_mcnemar_against_a_binomial_by_hand() -> None:
    """12 images that only the first answers rightly, 5 that only the second does."""
    one = np.array([True] * 12 + [False] * 5 + [True] * 30)
    other = np.array([False] * 12 + [True] * 5 + [True] * 30)
    assert mcnemar_p_value(one, other) == pytest.approx(stats.binomtest(5, 17).pvalue)
    assert mcnemar_p_value(one, one) == 1


def test_holm_by_hand() -> None:
    """Three p-values p1 < p2 < p3 become 3 p1, 2 p2 and p3, or the larger one before."""
    generator = np.random.default_rng(3)
    hits = {name: [generator.random(1000) < share] for name, share in (("a", 0.72), ("b", 0.66), ("c", 0.64))}
    pairs = sorted(differences(hits, SINGLE), key=lambda pair: pair["p_value"])
    p_values = [pair["p_value"] for pair in pairs]
    expected = np.maximum.accumulate(np.minimum(1, np.array(p_values) * [3, 2, 1]))
    np.testing.assert_allclose([pair["holm_p_value"] for pair in pairs], expected)
    assert [pair["distinct"] for pair in pairs] == (expected < 0.05).tolist()


def test_ties_are_named_in_the_ranking() -> None:
    rows = [{"recipe": name} for name in ("a", "b", "c", "baseline_majority")]
    pairs = [
        {"first": "a", "second": "b", "distinct": False},
        {"first": "a", "second": "c", "distinct": True},
        {"first": "b", "second": "c", "distinct": False},
    ]
    add_ties(rows, pairs)
    assert [row["tied_with"] for row in rows] == [["b"], ["a", "c"], ["b"], []]


def test_noise_between_seeds_widens_the_interval() -> None:
    generator = np.random.default_rng(0)
    steady = [generator.random(1000) < 0.6 for _ in range(3)]
    noisy = [generator.random(1000) < share for share in (0.4, 0.5, 0.6)]
    (narrow,) = differences({"a": steady[:1], "b": noisy[:1]}, SINGLE)
    (wide,) = differences({"a": steady, "b": noisy}, SINGLE)
    assert wide["seeds"] is True
    assert np.diff(wide["interval"]) > 2 * np.diff(narrow["interval"])
    low, high = wide["interval"]
    assert (wide["p_value"] < 0.05) is bool(low > 0 or high < 0)


def test_one_model_has_no_pairs() -> None:
    assert differences({"a": [np.ones(5, bool)]}, np.arange(5)) == differences({}, np.arange(0)) == []
