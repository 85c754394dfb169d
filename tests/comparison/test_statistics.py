"""Test rankings and differences against values worked out by hand or by SciPy."""

import numpy as np
import pytest
from scipy import stats

from ferlab.comparison.results import Difference
from ferlab.comparison.statistics import differences, mcnemar_p_value, rank, welch_satterthwaite, with_ties
from tests.comparisons import entry

UNIQUE = np.arange(1000)  # groups of copies of images without copies


def test_rank_averages_seeds_and_omits_failed_runs() -> None:
    rows = rank(
        [entry("a", 0.60), entry("a", 0.64, 1), entry("b", 0.70), entry("c", 0.99, validation=None)], "validation"
    )
    assert [(row.rank, row.recipe, row.seeds) for row in rows] == [(1, "b", 1), (2, "a", 2)]
    assert rows[1].accuracy == pytest.approx(0.62)
    assert rows[1].spread == pytest.approx(0.02 * 2**0.5)
    assert rows[1].seed_interval == pytest.approx((0.62 - 12.7062 * 0.02, 0.62 + 12.7062 * 0.02), rel=1e-4)
    assert rows[0].spread is None
    assert rows[0].seed_interval is None


def test_rank_keeps_group_and_selection_splits() -> None:
    rows = rank([entry("study_a", 0.7, selected_on=("validation", "test")), entry("baseline_b", 0.3)], "validation")
    assert [(row.group, row.is_baseline, row.selected_on) for row in rows] == [
        ("study", False, ("validation", "test")),
        ("baseline", True, ()),
    ]
    seeds = [entry("study_a", 0.7), entry("study_a", 0.7, 1, selected_on=("validation", "test"))]
    assert rank(seeds, "validation")[0].selected_on == ("validation", "test"), "of all seeds"


def test_seed_interval_matches_student_t_and_stays_within_0_and_1() -> None:
    accuracies = [0.70, 0.72, 0.71, 0.69]
    (row,) = rank([entry("a", accuracy, seed) for seed, accuracy in enumerate(accuracies)], "validation")
    expected = stats.ttest_1samp(accuracies, 0).confidence_interval(0.95)
    assert row.seed_interval == pytest.approx((expected.low, expected.high))
    (wide,) = rank([entry("a", 0.1), entry("a", 0.9, 1)], "validation")
    assert wide.seed_interval == (0.0, 1.0)


def test_difference_without_image_variance_is_welchs_t_test() -> None:
    """The interval and the p-value are SciPy's where only seeds vary."""
    one, other = [0.70, 0.72, 0.71], [0.66, 0.70, 0.65, 0.69]
    expected = stats.ttest_ind(one, other, equal_var=False)
    variances = [(float(np.var(group, ddof=1)) / len(group), len(group) - 1) for group in (one, other)]
    interval, p_value = welch_satterthwaite(float(np.mean(one) - np.mean(other)), [(0.0, 999), *variances])
    assert interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert p_value == pytest.approx(expected.pvalue)


def test_difference_with_one_variance_is_students_t_test() -> None:
    sample = np.array([0.02, 0.05, 0.01, 0.04, 0.03])
    expected = stats.ttest_1samp(sample, 0)
    interval, p_value = welch_satterthwaite(float(sample.mean()), [(float(sample.var(ddof=1)) / len(sample), 4)])
    assert interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert p_value == pytest.approx(expected.pvalue)


def test_difference_without_any_variance_is_certain() -> None:
    assert welch_satterthwaite(0.1, [(0.0, 9)]) == ((0.1, 0.1), 0.0)
    assert welch_satterthwaite(0.0, [(0.0, 9)]) == ((0.0, 0.0), 1.0)


def test_noise_between_seeds_counts_only_if_both_recipes_have_several() -> None:
    """Equal images in each seed leave no image variance, so all variance is that between seeds."""
    seeds = [np.full(1000, share) for share in (0.0, 1.0)]
    (pair,) = differences({"a": seeds, "b": [np.zeros(1000)]}, UNIQUE)
    assert (pair.difference, pair.interval, pair.p_value, pair.seeds) == (0.5, (0.5, 0.5), 0.0, False)
    (pair,) = differences({"a": seeds, "b": [np.zeros(1000)] * 2}, UNIQUE)
    expected = stats.ttest_ind([0.0, 1.0], [0.0, 0.0], equal_var=False)
    assert pair.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert pair.p_value == pytest.approx(expected.pvalue)
    assert pair.seeds is True


def test_differences_are_paired_by_image() -> None:
    """A difference that is significant between models with shared mistakes is not so between independent ones."""
    generator = np.random.default_rng(0)
    good = generator.random(1000) < 0.65
    worse = good.copy()
    worse[np.flatnonzero(good)[:20]] = False
    (paired,) = differences({"good": [good], "worse": [worse]}, UNIQUE)
    assert paired.difference == pytest.approx(0.02)
    assert paired.interval[0] > 0
    assert paired.seeds is False
    assert paired.significant is True
    assert paired.p_value == pytest.approx(2 * 0.5**20)  # 20 images that only one model predicts correctly
    (shuffled,) = differences({"good": [good], "worse": [generator.permutation(worse)]}, UNIQUE)
    assert shuffled.interval[0] < 0 < shuffled.interval[1]
    assert shuffled.significant is False


def test_interval_of_unique_images_is_close_to_the_normal_one() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.random(1000) < 0.7, generator.random(1000) < 0.6
    (pair,) = differences({"a": [one], "b": [other]}, UNIQUE)
    deviation = (one.astype(float) - other).std(ddof=1) / 1000**0.5
    assert np.diff(pair.interval) / 2 == pytest.approx(1.96 * deviation, rel=0.08)


def test_copies_add_no_evidence() -> None:
    """Ten copies of each image give the same interval and p-value as one."""
    generator = np.random.default_rng(0)
    one, other = generator.random(200) < 0.7, generator.random(200) < 0.6
    (once,) = differences({"a": [one], "b": [other]}, np.arange(200))
    (copied,) = differences({"a": [np.repeat(one, 10)], "b": [np.repeat(other, 10)]}, np.repeat(np.arange(200), 10))
    np.testing.assert_allclose(copied.interval, once.interval)
    assert copied.p_value == once.p_value


def test_order_of_seeds_does_not_matter_if_one_recipe_has_a_single_seed() -> None:
    generator = np.random.default_rng(0)
    seeds, single = [generator.random(1000) < share for share in (0.4, 0.5, 0.6)], [generator.random(1000) < 0.55]
    one, other = (differences({"a": order, "b": single}, UNIQUE)[0] for order in (seeds, seeds[::-1]))
    assert one == other
    assert one.seeds is False


def test_mcnemar_matches_a_binomial_test() -> None:
    """Only the first model predicts 12 images correctly, and only the second predicts 5."""
    one = np.array([True] * 12 + [False] * 5 + [True] * 30)
    other = np.array([False] * 12 + [True] * 5 + [True] * 30)
    assert mcnemar_p_value(one, other, np.arange(47)) == pytest.approx(stats.binomtest(5, 17).pvalue)
    assert mcnemar_p_value(one, one, np.arange(47)) == 1
    twice = [np.repeat(array, 2) for array in (one, other, np.arange(47))]
    assert mcnemar_p_value(*twice) == mcnemar_p_value(one, other, np.arange(47)), "copies count once"


def test_holm_correction_by_hand() -> None:
    """Three p-values p1 < p2 < p3 become 3 p1, 2 p2 and p3, or the larger one before."""
    generator = np.random.default_rng(3)
    correct = {name: [generator.random(1000) < share] for name, share in (("a", 0.72), ("b", 0.66), ("c", 0.64))}
    pairs = sorted(differences(correct, UNIQUE), key=lambda pair: pair.p_value)
    p_values = [pair.p_value for pair in pairs]
    expected = np.maximum.accumulate(np.minimum(1, np.array(p_values) * [3, 2, 1]))
    np.testing.assert_allclose([pair.holm_p_value for pair in pairs], expected)
    assert [pair.significant for pair in pairs] == (expected < 0.05).tolist()


def test_ranking_lists_recipes_without_a_significant_difference() -> None:
    rows = rank([entry(name, 0.5) for name in ("a", "b", "c", "baseline_majority")], "validation")
    pairs = [pair("a", "b", significant=False), pair("a", "c", significant=True), pair("b", "c", significant=False)]
    assert [row.tied_with for row in with_ties(rows, pairs)] == [("b",), ("a", "c"), ("b",), ()]
    assert all(row.tied_with == () for row in rows)


def pair(first: str, second: str, significant: bool) -> Difference:
    return Difference(
        first=first,
        second=second,
        difference=0.1,
        interval=(0.0, 0.2),
        seeds=False,
        p_value=0.01,
        significant=significant,
    )


def test_noise_between_seeds_widens_the_interval() -> None:
    generator = np.random.default_rng(0)
    steady = [generator.random(1000) < 0.6 for _ in range(3)]
    noisy = [generator.random(1000) < share for share in (0.4, 0.5, 0.6)]
    (narrow,) = differences({"a": steady[:1], "b": noisy[:1]}, UNIQUE)
    (wide,) = differences({"a": steady, "b": noisy}, UNIQUE)
    assert wide.seeds is True
    assert np.diff(wide.interval) > 2 * np.diff(narrow.interval)
    low, high = wide.interval
    assert (wide.p_value < 0.05) is bool(low > 0 or high < 0)


def test_fewer_than_two_recipes_have_no_differences() -> None:
    assert differences({"a": [np.ones(5, bool)]}, np.arange(5)) == []
    assert differences({}, np.arange(0)) == []
