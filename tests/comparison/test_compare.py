"""Comparison: failures that stay alone, the files it leaves, and comparisons made of finished runs."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, compare
from ferlab.comparison.baselines import baseline_entries
from ferlab.comparison.compare import compare_runs
from ferlab.errors import RunError, UnknownNameError
from ferlab.recipes import get_recipe
from ferlab.runs import RunFolder
from tests.comparisons import write_run

ENTRY_KEYS = {
    "recipe", "model", "seed", "status", "parameters", "trainable_parameters", "epochs", "seconds_per_epoch",
    "validation", "test", "selected_on", "deviations",
}  # fmt: skip
TINY = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 32}


@pytest.mark.slow
def test_end_to_end_with_a_failure(small: Dataset, tmp_path: Path) -> None:
    """One recipe cannot be trained: it is reported with its reason, and the others stand."""
    impossible = get_recipe("fair_newmodel").changed({"learning_rate": 1e38, "optimizer": "sgd"})
    recipes = [impossible, "study_newmodel"]
    comparison = compare(recipes, small, tmp_path, seeds=1, **TINY, ema=0.0, schedule="constant", policy="float32")
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

    explained = RunFolder(tmp_path / study["run"]).explanations()
    assert (explained["maps"].shape, str(explained["split"])) == ((7, 6, 6), "validation")
    assert 0 < explained["images"].max() <= 20
    assert not RunFolder(tmp_path / "runs" / "fair_newmodel-seed0").explanations()

    assert json.loads((tmp_path / "comparison.json").read_text()) == comparison
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert {row["recipe"] for row in rows} == set(by_recipe)
    report = (tmp_path / "report.html").read_text()
    assert len(report) < 5e6
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", report), "the report needs the network"
    assert "window.charts = {" in report
    assert "Where the models look" in report
    assert study["deviations"][0] in report
    assert "validation+test" in report

    with pytest.raises(RunError, match="already holds a comparison"):
        compare(["study_newmodel"], small, tmp_path, **TINY)
    stamp = (tmp_path / study["run"] / "model.keras").stat().st_mtime_ns
    compare(["study_newmodel"], small, tmp_path, resume=True, **TINY, ema=0.0, schedule="constant", policy="float32")
    assert (tmp_path / study["run"] / "model.keras").stat().st_mtime_ns == stamp, "a finished run was trained again"


def test_a_model_without_maps_is_none_the_worse_for_it(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "runs" / "fair_newmodel-seed0", small, "fair_newmodel", 0, 0.6))
    dense = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    dense.save(run.model_file)
    comparison = compare(["fair_newmodel"], small, tmp_path, resume=True, epochs=4)
    assert comparison["entries"][0]["status"] == "completed"
    assert not run.explanations()
    assert "Where the models look" not in (tmp_path / "report.html").read_text()


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


def test_a_comparison_of_finished_runs(demo: Dataset, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, demo, "fair_newmodel", seed, 0.6) for name, seed in (("a", 0), ("b", 1))]
    comparison = compare_runs(runs, tmp_path / "out")
    assert {row["recipe"]: row["seeds"] for row in comparison["ranking"]} == {
        "fair_newmodel": 2,
        "baseline_majority": 1,
    }
    assert comparison["ranked_on"] == "test"
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == comparison
    longer = write_run(tmp_path / "longer", demo, "fair_newmodel", 0, 0.6, epochs=5)
    mixed = compare_runs([runs[0], longer], tmp_path / "mixed")
    assert {entry["recipe"] for entry in mixed["entries"]} >= {"fair_newmodel (a)", "fair_newmodel (longer)"}


def test_runs_that_cannot_be_compared(demo: Dataset, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
    other = write_run(tmp_path / "other", demo.where(np.arange(len(demo)) % 5 > 0), "fair_newmodel", 0, 0.6)
    renamed = replace(demo, class_names=tuple("abcdefg"))
    strange = write_run(tmp_path / "strange", renamed, "fair_newmodel", 0, 0.6)
    for bad, message in ((other, "other test images"), (strange, "other classes"), (tmp_path, "no finished run")):
        with pytest.raises(RunError, match=message):
            compare_runs([run, bad], tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_runs_in_another_order_of_images_are_compared_image_by_image(demo: Dataset, tmp_path: Path) -> None:
    shuffled = demo.where(np.random.default_rng(0).permutation(len(demo)))
    shuffled = replace(shuffled, names=np.array([f"row {number}" for number in range(len(demo))]))
    one = write_run(tmp_path / "one", demo, "fair_newmodel", 0, 1.0)
    two = write_run(tmp_path / "two", shuffled, "study_newmodel", 0, 1.0)
    hits = [RunFolder(path).predictions() for path in (one, two)]
    assert list(hits[0]["test_keys"]) != list(hits[1]["test_keys"])
    (difference,) = compare_runs([one, two], tmp_path / "out")["differences"]
    assert (difference["difference"], difference["interval"]) == (0, [0, 0])


def test_copies_with_different_labels_are_one_group(demo: Dataset, tmp_path: Path) -> None:
    """Told apart by their keys, they are still drawn together."""
    test = np.flatnonzero(demo.splits == Split.TEST)
    images, labels = demo.images.copy(), demo.labels.copy()
    images[test] = np.repeat(images[test[::2]], 2, axis=0)
    labels[test[1::2]] = (labels[test[::2]] + 1) % 7
    run = RunFolder(write_run(tmp_path / "run", replace(demo, images=images, labels=labels), "fair_newmodel", 0, 0.6))
    assert len(np.unique(run.scored_images("test"))) == len(test)
    _, sizes = np.unique(run.copies("test"), return_counts=True)
    assert (len(sizes), set(sizes.tolist())) == (len(test) / 2, {2})
