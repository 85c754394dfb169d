"""Findings on made-up comparisons and histories: each one's sentence, and its silence."""

from ferlab.comparison.findings import summary
from tests.comparisons import MAJORITY, comparison, entry, found, history

FALLING = [1.6, 1.2, 0.8, 0.4]


def about(texts: list[str], words: str) -> list[str]:
    return [text for text in texts if words in text]


def test_a_clear_winner_and_a_tie() -> None:
    (clear,) = about(found(MAJORITY, entry("a", 0.7), entry("b", 0.6)), "highest")
    assert "70.0 %, 10.0 points" in clear
    assert "the noise of training is left out" in clear
    (tie,) = about(found(MAJORITY, entry("a", 0.7), entry("b", 0.695), entry("c", 0.69)), "highest")
    assert "does not tell them apart" in tie
    assert "nor is c clearly behind" in tie
    assert not about(found(MAJORITY, entry("a", 0.7)), "highest"), "one model has nobody to win against"


def test_other_training_images_are_named() -> None:
    made = [entry("a", 0.7, trained_on="x"), entry("b", 0.6, trained_on="y"), entry("c", 0.5, trained_on="x")]
    assert about(found(MAJORITY, *made), "a and b were not trained on the same images.")
    assert not about(found(MAJORITY, made[0], made[2]), "trained on the same")


def test_seeds_that_scatter_make_a_tie() -> None:
    scattered = [entry("a", share, seed) for seed, share in enumerate((0.6, 0.7, 0.8))]
    steady = [entry("b", share, seed) for seed, share in enumerate((0.66, 0.67, 0.68))]
    assert about(found(MAJORITY, *scattered, *steady), "does not tell them apart")
    (clear,) = about(
        found(MAJORITY, entry("a", 0.7), entry("a", 0.71, 1), *steady[:1], entry("b", 0.655, 1)), "highest"
    )
    assert "left out" not in clear
    scattered_third = [entry("c", share, seed) for seed, share in enumerate((0.45, 0.6, 0.7))]
    steady_first = [entry("a", share, seed) for seed, share in enumerate((0.7, 0.701))]
    (partly,) = about(found(MAJORITY, *steady_first, entry("b", 0.6), *scattered_third), "highest")
    assert "above b" in partly
    assert "c is not clearly behind" in partly
    equal = about(found(MAJORITY, entry("a", 0.7), entry("b", 0.7)), "share the highest")
    assert equal == ["a and b share the highest validation accuracy, 70.0 %."]


def test_near_chance_is_under_trained_and_nothing_follows() -> None:
    texts = found(MAJORITY, entry("a", 0.7), entry("b", 0.26))
    assert about(texts, "b ") == about(texts, "is under-trained")
    assert not about(texts, "highest")
    assert not about(found(MAJORITY, entry("a", 0.7), entry("b", 0.4)), "under-trained")
    (both,) = about(found(MAJORITY, entry("a", 0.26), entry("b", 0.25)), "under-trained")
    assert both.startswith("a (26.0 %) and b (25.0 %) are under-trained")


def test_below_logistic_regression() -> None:
    pixels = entry("baseline_pixels", 0.38, None)
    assert about(found(MAJORITY, pixels, entry("a", 0.35)), "a (35.0 %) is below")
    assert not about(found(MAJORITY, pixels, entry("a", 0.45)), "below")


def test_selection_on_the_test_split_is_named() -> None:
    test = {"accuracy": 0.6, "accuracy_interval": [0.58, 0.62]}
    chosen = entry("study_x", 0.6, test=test, selected_on="validation+test")
    assert about(found(chosen, ranked_on="test"), "study_x chose the best epoch on the test split")
    assert not about(found(entry("a", 0.6, test=test), ranked_on="test"), "chose the best epoch")


def test_study_against_fair() -> None:
    texts = found(MAJORITY, entry("study_x", 0.5), entry("fair_x", 0.6), entry("fair_x_imagenet", 0.505))
    (clear,) = about(texts, "fair_x scores +10.0 points against study_x")
    assert "may be noise" not in clear
    (doubtful,) = about(texts, "fair_x_imagenet scores +0.5 points against study_x")
    assert "may be noise" in doubtful


def test_the_studys_conclusion() -> None:
    simple = entry("fair_newmodel", 0.65)
    assert about(found(MAJORITY, simple, entry("fair_resnet50", 0.70)), "does not hold here")
    assert about(found(MAJORITY, simple, entry("fair_resnet50", 0.60)), "this holds here")
    assert about(found(MAJORITY, simple, entry("fair_vgg16_imagenet", 0.655)), "neither confirms nor refutes")
    unequal = entry("fair_resnet50", 0.60, image_passes=1000)
    assert about(found(MAJORITY, simple, unequal), "does not test it")
    assert not about(found(MAJORITY, simple, entry("study_resnet50", 0.60)), "The study concluded")


def test_overfitting_is_seen_from_its_epoch_on() -> None:
    (text,) = about(found(MAJORITY, entry("a", 0.7), a=history(FALLING, [1.5, 1.3, 1.4, 1.8])), "overfits")
    assert "a (seed 0) overfits from epoch 3 on" in text
    assert "1.300 to 1.800" in text
    for harmless in ([1.5, 1.3, 1.2, 1.1], [1.5, 1.3, 1.32, 1.35]):
        assert not about(found(MAJORITY, entry("a", 0.7), a=history(FALLING, harmless, [0.5] * 4)), "overfits")
    flat = history(FALLING, [1.3] * 4, [0.5, 0.6, 0.59, 0.55])
    (text,) = about(found(MAJORITY, entry("a", 0.7), a=flat), "overfits")
    assert "from epoch 3 on: its training accuracy" in text
    assert "60.0 % to 55.0 %" in text


def test_still_improving() -> None:
    rising = history(FALLING, [1.5, 1.3, 1.2, 1.1], [0.4, 0.5, 0.55, 0.58])
    assert about(found(MAJORITY, entry("a", 0.58), a=rising), "still improving")
    level = history(FALLING, [1.5, 1.3, 1.2, 1.2], [0.4, 0.5, 0.58, 0.581])
    assert not about(found(MAJORITY, entry("a", 0.58), a=level), "still improving")


def test_early_stopping_and_failures_are_named() -> None:
    reason = "val_accuracy had not improved for 5 epochs, of 20 planned"
    texts = found(MAJORITY, entry("a", 0.5, status="stopped early", epochs=8, reason=reason))
    assert f"a (seed 0) stopped after 8 epochs: {reason}." in texts
    assert not about(found(MAJORITY, entry("a", 0.5)), "stopped after")
    assert found(entry("a", 0.5, status="failed", reason="out of memory"))[0] == "a (seed 0) failed: out of memory."


def test_a_small_but_steady_rise_is_overfitting_too() -> None:
    falling = [1.6 - 0.1 * epoch for epoch in range(8)]
    steady = [1.2, 1.1, 1.0, 0.97, 0.98, 0.99, 1.0, 1.01]
    (text,) = about(found(entry("a", 0.6), a=history(falling, steady)), "overfits")
    assert "from epoch 5 on" in text
    unsteady = [1.2, 1.1, 1.0, 0.97, 1.0, 0.98, 1.02, 1.01]
    assert not about(found(entry("a", 0.6), a=history(falling, unsteady)), "overfits")
    late = [1.2, 1.1, 1.05, 1.02, 1.0, 0.97, 0.99, 1.01]
    assert not about(found(entry("a", 0.6), a=history(falling, late)), "overfits"), "two epochs are no trend"


def test_what_a_point_costs() -> None:
    small = entry("small", 0.60)
    large = entry("large", 0.70, parameters=11_000_000, multiply_adds=40_000_000, seconds=1200.0)
    (text,) = about(found(MAJORITY, small, large), "each of them costs")
    assert "large gains 10.0 points on small" in text
    assert "1 M more parameters, 1 M fewer multiply-adds an image and 60 s more training" in text
    useless = entry("large", 0.60, parameters=11_000_000)
    assert about(found(MAJORITY, small, useless), "costs no less by any measure")
    assert not about(found(MAJORITY, small, entry("twin", 0.60)), "costs")


def test_a_summary_has_five_sentences_whatever_there_is() -> None:
    full = summary(
        comparison(MAJORITY, entry("fair_newmodel", 0.65), entry("fair_resnet50", 0.7, parameters=20_000_000))
    )
    assert len(full) == 5
    assert full[0].startswith("2 recipes with 1 seed each were trained on the 28,000 training images of made-up")
    assert "does not hold" in full[2]
    assert "too high" in full[4]
    bare = summary(comparison(MAJORITY, entry("a", 0.26)))
    assert len(bare) == 5
    assert "no winner" in bare[1]
