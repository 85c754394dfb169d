"""Comparison: ranking, findings on made-up histories, failures that stay alone, and the files it leaves."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ferlab import Dataset, Split, compare
from ferlab.baselines import baseline_entries
from ferlab.compare import rank
from ferlab.errors import RunError, UnknownNameError
from ferlab.recipes import get_recipe
from ferlab.report.findings import findings

ENTRY_KEYS = {
    "recipe", "model", "seed", "status", "parameters", "trainable_parameters", "epochs", "seconds_per_epoch",
    "validation", "test", "selected_on", "departures",
}  # fmt: skip
TINY = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 32}


def test_end_to_end_with_a_failure(small: Dataset, tmp_path: Path) -> None:
    """One recipe cannot be trained: it is reported with its reason, and the others stand."""
    impossible = get_recipe("fair_newmodel").changed({"learning_rate": 1e38, "optimizer": "sgd"})
    recipes = [impossible, "study_newmodel"]
    comparison = compare(
        recipes, small, tmp_path, seeds=1, **TINY, averaging=0.0, schedule="constant", policy="float32"
    )
    by_recipe = {entry["recipe"]: entry for entry in comparison["entries"]}
    assert set(by_recipe) == {"fair_newmodel", "study_newmodel", "baseline_majority", "baseline_pixels"}
    assert all(set(entry) >= ENTRY_KEYS for entry in comparison["entries"])
    assert by_recipe["fair_newmodel"]["status"] == "failed"
    assert "diverged" in by_recipe["fair_newmodel"]["reason"]
    study = by_recipe["study_newmodel"]
    assert (study["status"], study["selected_on"]) == ("completed", "validation+test")
    assert study["test"]["images"] == 70
    assert comparison["ranked_on"] == "test"
    assert [row["recipe"] for row in comparison["ranking"]].count("fair_newmodel") == 0
    assert any("fair_newmodel (seed 0) failed" in sentence for sentence in comparison["findings"])
    assert comparison["dataset"]["splits"]["train"]["fingerprint"] == small.fingerprints["train"]

    assert json.loads((tmp_path / "comparison.json").read_text()) == comparison
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert {row["recipe"] for row in rows} == set(by_recipe)
    report = (tmp_path / "report.html").read_text()
    assert len(report) < 5e6
    assert "http://" not in report.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert report.count("<svg") == 1
    assert study["departures"][0] in report
    assert "validation+test" in report

    with pytest.raises(RunError, match="already holds a comparison"):
        compare(["study_newmodel"], small, tmp_path, **TINY)
    stamp = (tmp_path / study["run"] / "model.keras").stat().st_mtime_ns
    compare(
        ["study_newmodel"], small, tmp_path, resume=True, **TINY, averaging=0.0, schedule="constant", policy="float32"
    )
    assert (tmp_path / study["run"] / "model.keras").stat().st_mtime_ns == stamp, "a finished run was trained again"


def test_unknown_recipes_fail_before_anything_is_trained(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean"):
        compare(["fair_newmodle"], small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_baselines(demo: Dataset) -> None:
    majority, pixels = baseline_entries(demo)
    test = demo.take(Split.TEST)
    commonest = max(demo.take(Split.TRAIN).class_counts(), key=demo.take(Split.TRAIN).class_counts().get)
    assert majority["test"]["accuracy"] == pytest.approx(test.class_counts()[commonest] / len(test))
    assert pixels["test"]["accuracy"] > majority["test"]["accuracy"] + 0.05
    assert set(majority) >= ENTRY_KEYS


# Made-up comparisons for ranking and findings.


def entry(recipe: str, accuracy: float, seed: int | None = 0, **changes: Any) -> dict[str, Any]:
    scores = {"accuracy": accuracy, "accuracy_interval": [accuracy - 0.015, accuracy + 0.015]}
    return {
        "recipe": recipe,
        "seed": seed,
        "status": "completed",
        "reason": None,
        "run": f"runs/{recipe}-seed{seed}",
        "validation": scores,
        "test": None,
        "selected_on": None if recipe.startswith("baseline") else "validation",
        **changes,
    }


def found(*entries: dict[str, Any], ranked_on: str = "validation", **histories: list) -> list[str]:
    comparison = {"entries": list(entries), "ranking": rank(list(entries), ranked_on), "ranked_on": ranked_on}
    return findings(comparison, {f"runs/{name}-seed0": history for name, history in histories.items()})


MAJORITY = entry("baseline_majority", 0.25, None)


def test_rank_averages_seeds_and_leaves_failures_out() -> None:
    rows = rank(
        [entry("a", 0.60), entry("a", 0.64, 1), entry("b", 0.70), entry("c", 0.99, status="failed")], "validation"
    )
    assert [(row["rank"], row["recipe"], row["seeds"]) for row in rows] == [(1, "b", 1), (2, "a", 2)]
    assert rows[1]["accuracy"] == pytest.approx(0.62)
    assert rows[1]["spread"] == pytest.approx(0.02 * 2**0.5)
    assert rows[0]["spread"] is None


def test_a_clear_winner_and_a_tie() -> None:
    assert any(
        "a has the highest" in text and "do not overlap" in text
        for text in found(MAJORITY, entry("a", 0.7), entry("b", 0.6))
    )
    assert any("does not tell them apart" in text for text in found(MAJORITY, entry("a", 0.7), entry("b", 0.69)))


def test_near_chance_is_under_trained_and_nothing_follows() -> None:
    texts = found(MAJORITY, entry("a", 0.7), entry("b", 0.26))
    assert [text for text in texts if text.startswith("b ")] == [text for text in texts if "under-trained" in text]
    assert not any("highest" in text for text in texts)
    assert not any("under-trained" in text for text in found(MAJORITY, entry("a", 0.7), entry("b", 0.4)))


def test_below_logistic_regression() -> None:
    pixels = entry("baseline_pixels", 0.38, None)
    assert any("a (35.0 %) is below" in text for text in found(MAJORITY, pixels, entry("a", 0.35)))
    assert not any("below" in text for text in found(MAJORITY, pixels, entry("a", 0.45)))


def test_selection_on_the_test_split_is_named() -> None:
    test = {"accuracy": 0.6, "accuracy_interval": [0.58, 0.62]}
    chosen = entry("study_x", 0.6, test=test, selected_on="validation+test")
    assert any("study_x chose the best epoch on the test split" in text for text in found(chosen, ranked_on="test"))
    assert not any("chose the best epoch" in text for text in found(entry("a", 0.6, test=test), ranked_on="test"))


def test_study_against_fair() -> None:
    texts = found(MAJORITY, entry("study_x", 0.5), entry("fair_x", 0.6), entry("fair_x_imagenet", 0.51))
    assert "fair_x scores +10.0 points against study_x, the study's own recipe." in texts
    assert (
        "fair_x_imagenet scores +1.0 points against study_x, the study's own recipe, within the 95 % intervals."
        in texts
    )


def history(losses: list[float], validation_losses: list[float]) -> list[dict[str, float]]:
    pairs = zip(losses, validation_losses, strict=True)
    return [{"epoch": number, "loss": loss, "val_loss": other} for number, (loss, other) in enumerate(pairs, start=1)]


def test_overfitting_is_seen_from_its_epoch_on() -> None:
    falling = [1.6, 1.2, 0.8, 0.4]
    texts = found(MAJORITY, entry("a", 0.7), a=history(falling, [1.5, 1.3, 1.4, 1.8]))
    assert any("a (seed 0) overfits from epoch 3 on" in text and "1.300 to 1.800" in text for text in texts)
    for harmless in ([1.5, 1.3, 1.2, 1.1], [1.5, 1.3, 1.32, 1.35]):
        assert not any("overfits" in text for text in found(MAJORITY, entry("a", 0.7), a=history(falling, harmless)))


def test_failures_are_named() -> None:
    texts = found(entry("a", 0.5, status="failed", reason="out of memory"))
    assert texts[0] == "a (seed 0) failed: out of memory"
