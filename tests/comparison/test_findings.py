"""Test that each finding is reported when it applies, and only then."""

from dataclasses import replace

import pytest

from ferlab.comparison.findings import findings, summarize
from ferlab.comparison.results import Entry
from ferlab.emotions import EMOTIONS
from tests.comparisons import MAJORITY, comparison, entry, found, history, split_metrics

FALLING = [1.6, 1.2, 0.8, 0.4]


def about(texts: list[str], words: str) -> list[str]:
    """Select the sentences that contain the words."""
    return [text for text in texts if words in text]


def test_clear_winner() -> None:
    (clear,) = about(found(MAJORITY, entry("a", 0.7), entry("b", 0.6)), "highest")
    assert clear.startswith("a has the highest validation accuracy, 70.0 %, 10.0 points (95 % interval")
    assert clear.endswith("above b; with one seed, the noise between trainings is not included.")


def test_tie_for_the_first_rank() -> None:
    (tie,) = about(found(MAJORITY, entry("a", 0.7), entry("b", 0.695), entry("c", 0.69)), "highest")
    assert "it is not significantly different from b and c: b is only 0.5 points" in tie


def test_single_model_is_no_winner() -> None:
    assert not about(found(MAJORITY, entry("a", 0.7)), "highest")


def test_different_training_images_are_reported() -> None:
    made = [entry("a", 0.7, trained_on="x"), entry("b", 0.6, trained_on="y"), entry("c", 0.5, trained_on="x")]
    assert about(found(MAJORITY, *made), "a and b were not trained on the same images.")
    assert not about(found(MAJORITY, made[0], made[2]), "trained on the same")


def test_help_from_other_networks_is_reported() -> None:
    helped = [entry("a", 0.7, learned_from=("runs/first",)), entry("a", 0.7, 1, learned_from=("runs/first",))]
    (sentence,) = about(found(MAJORITY, *helped, entry("b", 0.6)), "trained earlier")
    assert "contributed to a, as the start" in sentence
    assert not about(found(MAJORITY, entry("a", 0.7), entry("b", 0.6)), "trained earlier")


def test_seeds_that_vary_make_a_tie() -> None:
    varied = [entry("a", accuracy, seed) for seed, accuracy in enumerate((0.6, 0.7, 0.8))]
    steady = [entry("b", accuracy, seed) for seed, accuracy in enumerate((0.66, 0.67, 0.68))]
    assert about(found(MAJORITY, *varied, *steady), "not significantly different")


def test_winner_over_several_seeds_has_no_warning_about_one_seed() -> None:
    one, other = [entry("a", 0.7), entry("a", 0.71, 1)], [entry("b", 0.66), entry("b", 0.655, 1)]
    (clear,) = about(found(MAJORITY, *one, *other), "highest")
    assert "with one seed" not in clear


def test_winner_over_the_second_may_tie_with_the_third() -> None:
    varied_third = [entry("c", accuracy, seed) for seed, accuracy in enumerate((0.45, 0.6, 0.7))]
    steady_first = [entry("a", accuracy, seed) for seed, accuracy in enumerate((0.7, 0.701))]
    (partly,) = about(found(MAJORITY, *steady_first, entry("b", 0.6), *varied_third), "highest")
    assert "above b" in partly
    assert "c is not significantly different from it" in partly


def test_equal_models_share_the_first_rank() -> None:
    equal = about(found(MAJORITY, entry("a", 0.7), entry("b", 0.7)), "share the highest")
    assert equal == ["a and b share the highest validation accuracy, 70.0 %."]


def test_models_near_chance_are_under_trained_and_excluded_from_other_findings() -> None:
    texts = found(MAJORITY, entry("a", 0.7), entry("b", 0.26))
    assert about(texts, "b ") == about(texts, "is under-trained")
    assert not about(texts, "highest")
    assert not about(found(MAJORITY, entry("a", 0.7), entry("b", 0.4)), "under-trained")
    (both,) = about(found(MAJORITY, entry("a", 0.26), entry("b", 0.25)), "under-trained")
    assert both.startswith("a (26.0 %) and b (25.0 %) are under-trained")


def test_networks_worse_than_logistic_regression_are_reported() -> None:
    pixels = entry("baseline_pixels", 0.38, None)
    assert about(
        found(MAJORITY, pixels, entry("a", 0.35)), "a (35.0 %) is worse than logistic regression on pixels (38.0 %)."
    )
    assert not about(found(MAJORITY, pixels, entry("a", 0.45)), "worse than logistic")


def test_selection_on_the_test_split_is_reported() -> None:
    test = split_metrics(0.6)
    selected = entry("study_x", 0.6, test=test, selected_on=("validation", "test"))
    assert about(found(selected, ranked_on="test"), "study_x was also selected on the test split")
    assert not about(found(selected), "selected on the test split"), "validation accuracies are not concerned"
    assert not about(found(entry("a", 0.6, test=test), ranked_on="test"), "selected on the test split")


def test_study_recipes_are_compared_with_fair_ones_of_the_same_architecture() -> None:
    texts = found(MAJORITY, entry("study_x", 0.5), entry("fair_x", 0.6), entry("fair_x_imagenet", 0.505))
    (clear,) = about(texts, "fair_x scores +10.0 points against study_x, the study's own recipe")
    assert "not significant" not in clear
    (doubtful,) = about(texts, "fair_x_imagenet scores +0.5 points against study_x")
    assert "not significant" in doubtful
    assert not about(found(MAJORITY, entry("study_x", 0.5), entry("fair_y", 0.6)), "against")


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (entry("fair_resnet50", 0.70), "this does not hold here"),
        (entry("fair_resnet50", 0.60), "this holds here"),
        (entry("fair_vgg16_imagenet", 0.655), "neither confirms nor refutes it"),
        (entry("fair_resnet50", 0.60, image_passes=1000), "does not test it"),
    ],
)
def test_studys_conclusion_is_tested(known: Entry, verdict: str) -> None:
    (text,) = about(found(MAJORITY, entry("fair_newmodel", 0.65), known), "The study concluded")
    assert verdict in text


def test_studys_conclusion_needs_two_fair_recipes() -> None:
    assert not about(
        found(MAJORITY, entry("fair_newmodel", 0.65), entry("study_resnet50", 0.60)), "The study concluded"
    )


@pytest.mark.parametrize(
    "changes", [{"source": "demo"}, {"class_names": ("cat", *EMOTIONS[1:])}], ids=["synthetic", "other classes"]
)
def test_studys_conclusion_on_other_data_says_so(changes: dict) -> None:
    made = comparison(MAJORITY, entry("fair_newmodel", 0.65), entry("fair_resnet50", 0.70))
    other = replace(made, dataset=replace(made.dataset, **changes))
    assert about(findings(other, {}), "does not hold here, on other data")


def test_overfitting_is_reported_with_its_first_epoch() -> None:
    (text,) = about(found(MAJORITY, entry("a", 0.7), a=history(FALLING, [1.5, 1.3, 1.4, 1.8])), "overfits")
    assert "a (seed 0) overfits from epoch 3" in text
    assert "1.300 to 1.800" in text
    for harmless in ([1.5, 1.3, 1.2, 1.1], [1.5, 1.3, 1.32, 1.35]):
        assert not about(found(MAJORITY, entry("a", 0.7), a=history(FALLING, harmless, [0.5] * 4)), "overfits")


def test_falling_validation_accuracy_is_overfitting_too() -> None:
    flat = history(FALLING, [1.3] * 4, [0.5, 0.6, 0.59, 0.55])
    (text,) = about(found(MAJORITY, entry("a", 0.7), a=flat), "overfits")
    assert "from epoch 3: its training accuracy" in text
    assert "60.0 % to 55.0 %" in text


def test_slow_but_steady_rise_of_the_loss_is_overfitting_too() -> None:
    falling = [1.6 - 0.1 * epoch for epoch in range(8)]
    steady = [1.2, 1.1, 1.0, 0.97, 0.98, 0.99, 1.0, 1.01]
    (text,) = about(found(entry("a", 0.6), a=history(falling, steady)), "overfits")
    assert "from epoch 5" in text
    unsteady = [1.2, 1.1, 1.0, 0.97, 1.0, 0.98, 1.02, 1.01]
    assert not about(found(entry("a", 0.6), a=history(falling, unsteady)), "overfits")
    late = [1.2, 1.1, 1.05, 1.02, 1.0, 0.97, 0.99, 1.01]
    assert not about(found(entry("a", 0.6), a=history(falling, late)), "overfits"), "two epochs are not a trend"


def test_still_improving() -> None:
    rising = history(FALLING, [1.5, 1.3, 1.2, 1.1], [0.4, 0.5, 0.55, 0.58])
    assert about(
        found(MAJORITY, entry("a", 0.58), a=rising),
        "still improving when its training ended, by 3.0 points over the last epoch:",
    )
    level = history(FALLING, [1.5, 1.3, 1.2, 1.2], [0.4, 0.5, 0.58, 0.581])
    assert not about(found(MAJORITY, entry("a", 0.58), a=level), "still improving")


def test_early_stopping_is_reported() -> None:
    reason = "val_accuracy had not improved for 5 of 20 planned epochs"
    texts = found(MAJORITY, entry("a", 0.5, status="stopped early", epochs=8, reason=reason))
    assert f"a (seed 0) stopped after 8 epochs: {reason}." in texts
    assert not about(found(MAJORITY, entry("a", 0.5)), "stopped after")


def test_failed_and_interrupted_runs_are_reported() -> None:
    assert found(entry("a", 0.5, status="failed", reason="out of memory"))[0] == "a (seed 0) failed: out of memory."
    assert found(entry("a", 0.5, status="interrupted"))[0] == "a (seed 0) was interrupted."


def test_cost_of_a_point_of_accuracy() -> None:
    small = entry("small", 0.60)
    large = entry("large", 0.70, parameters=11_000_000, multiply_adds=40_000_000, seconds=1200.0)
    (text,) = about(found(MAJORITY, small, large), "each point costs")
    assert "large is 10.0 points more accurate than small" in text
    assert "1 M more parameters, 1 M fewer multiply-adds per image and 60 s more training" in text
    interrupted = replace(large, seed=1, status="interrupted", validation=None, seconds=10.0)
    assert about(found(MAJORITY, small, large, interrupted), "each point costs") == [text]


def test_models_that_cost_more_without_being_more_accurate_are_reported() -> None:
    small = entry("small", 0.60)
    equal, worse = (entry("large", accuracy, parameters=11_000_000) for accuracy in (0.60, 0.50))
    assert about(found(MAJORITY, small, equal), "large is not significantly more accurate than small, and costs")
    assert about(found(MAJORITY, small, worse), "large is less accurate than small, and costs at least as much")
    assert not about(found(MAJORITY, small, entry("twin", 0.60)), "costs")


def test_summary_has_five_sentences() -> None:
    full = summarize(
        comparison(MAJORITY, entry("fair_newmodel", 0.65), entry("fair_resnet50", 0.7, parameters=20_000_000))
    )
    assert len(full) == 5
    assert full[0].startswith("2 recipes with 1 seed each were trained on the 28,000 training images of made-up")
    assert "does not hold" in full[2]
    assert "too high" in full[4]


def test_summary_of_a_comparison_without_conclusions_has_five_sentences_too() -> None:
    bare = summarize(comparison(MAJORITY, entry("a", 0.26)))
    assert len(bare) == 5
    assert "no winner" in bare[1]
    assert "This comparison does not test the study's conclusion" in bare[2]
    assert "This comparison does not show what a point of accuracy costs" in bare[3]


def test_summary_says_whether_the_test_accuracies_can_be_trusted() -> None:
    fair = entry("fair_x", 0.6, test=split_metrics(0.6))
    study = entry("study_x", 0.6, test=split_metrics(0.6), selected_on=("validation", "test"))
    assert summarize(comparison(fair, ranked_on="test"))[4].endswith("the test images were scored once.")
    assert "selected on the test split" in summarize(comparison(fair, study, ranked_on="test"))[4]
