"""Test comparisons: isolated failures, the written files, and comparisons of finished runs."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, compare
from ferlab.comparison.baselines import baseline_entries, majority_entry
from ferlab.comparison.compare import _find, _prepared
from ferlab.comparison.compare_runs import compare_runs
from ferlab.comparison.results import Comparison, Entry, read_comparison
from ferlab.emotions import Target
from ferlab.errors import RecipeError, RunError, UnknownNameError
from ferlab.recipes import get_recipe
from ferlab.runs import RunFolder
from tests.comparisons import write_run

TINY = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 32}
PLAIN = {"ema": 0.0, "schedule": "constant", "policy": "float32"}


@pytest.fixture(scope="module")
def trained(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """A comparison of two recipes, of which the first cannot be trained, and its folder."""
    impossible = get_recipe("fair_newmodel").changed({"learning_rate": 1e38, "optimizer": "sgd"})
    out = tmp_path_factory.mktemp("comparison") / "out"
    return out, compare([impossible, "study_newmodel"], small, out, seeds=1, **TINY, **PLAIN)


def entry_of(comparison: Comparison, recipe: str) -> Entry:
    (entry,) = (entry for entry in comparison.entries if entry.recipe == recipe)
    return entry


@pytest.mark.slow
def test_failed_run_is_an_entry_with_its_reason(trained: tuple[Path, Comparison]) -> None:
    out, comparison = trained
    recipes = [entry.recipe for entry in comparison.entries]
    assert recipes == ["fair_newmodel", "study_newmodel", "baseline_majority", "baseline_pixels"]
    failed = entry_of(comparison, "fair_newmodel")
    assert (failed.status, failed.validation, failed.test) == ("failed", None, None)
    assert "diverged" in failed.reason
    assert "fair_newmodel" not in [row.recipe for row in comparison.ranking]
    assert any("fair_newmodel (seed 0) failed" in sentence for sentence in comparison.findings)
    assert not RunFolder(out / failed.run).explanations()


@pytest.mark.slow
def test_other_runs_are_trained_scored_and_explained(trained: tuple[Path, Comparison], small: Dataset) -> None:
    out, comparison = trained
    study = entry_of(comparison, "study_newmodel")
    assert (study.status, study.group, study.selected_on) == ("completed", "study", ("validation", "test"))
    assert study.test.images == 70
    assert study.deviations == get_recipe("study_newmodel").deviations
    assert comparison.ranked_on == "test"
    assert comparison.dataset.splits["train"].fingerprint == study.trained_on == small.fingerprints["train"]
    explained = RunFolder(out / study.run).explanations()
    assert (explained.maps.shape, str(explained.split)) == ((7, 6, 6), "validation")
    assert 0 < explained.images.max() <= 20


@pytest.mark.slow
def test_comparison_is_written_as_json_and_csv_without_a_report(trained: tuple[Path, Comparison]) -> None:
    out, comparison = trained
    assert read_comparison(out) == comparison
    rows = {row["recipe"]: row for row in csv.DictReader((out / "comparison.csv").read_text().splitlines())}
    assert list(rows) == [entry.recipe for entry in comparison.entries]
    study = entry_of(comparison, "study_newmodel")
    assert rows["study_newmodel"]["selected_on"] == "validation; test"
    assert rows["study_newmodel"]["group"] == "study"
    assert float(rows["study_newmodel"]["test_accuracy"]) == study.test.accuracy
    assert rows["study_newmodel"]["deviations"] == "; ".join(study.deviations)
    assert "diverged" in rows["fair_newmodel"]["reason"]
    assert not (out / "report.html").exists()


@pytest.mark.slow
def test_resuming_trains_no_finished_run_again(
    trained: tuple[Path, Comparison], small: Dataset, tmp_path: Path
) -> None:
    comparison, out = trained[1], shutil.copytree(trained[0], tmp_path / "out")
    with pytest.raises(RunError, match="already contains a comparison"):
        compare(["study_newmodel"], small, out, **TINY)
    model = out / entry_of(comparison, "study_newmodel").run / "model.keras"
    stamp = model.stat().st_mtime_ns
    compare(["study_newmodel"], small, out, resume=True, **TINY, **PLAIN)
    assert model.stat().st_mtime_ns == stamp
    written = (out / "comparison.json").read_bytes()
    with pytest.raises(RunError, match="contains a run of another recipe or seed"):
        compare(["study_newmodel"], small, out, resume=True, **TINY | {"epochs": 2}, **PLAIN)
    assert (out / "comparison.json").read_bytes() == written


def test_model_without_a_feature_map_is_compared_without_explanations(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "runs" / "fair_newmodel-seed0", small, "fair_newmodel", 0, 0.6))
    dense = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    dense.save(run.model_file)
    comparison = compare(["fair_newmodel"], small, tmp_path, resume=True, epochs=4)
    assert comparison.entries[0].status == "completed"
    assert not run.explanations()


def test_unknown_recipes_fail_before_training(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean"):
        compare(["fair_newmodle"], small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_baselines(demo: Dataset) -> None:
    majority, pixels = baseline_entries(demo)
    test, training = demo.take(Split.TEST), demo.take(Split.TRAIN).class_counts()
    most_frequent = max(training, key=training.get)
    assert majority.test.accuracy == pytest.approx(test.class_counts()[most_frequent] / len(test))
    assert pixels.test.accuracy > majority.test.accuracy + 0.05
    assert [entry.group for entry in (majority, pixels)] == ["baseline", "baseline"]
    assert (pixels.parameters, pixels.seed, pixels.run) == (7 * (24 * 24 + 1), None, None)


def test_a_baseline_that_fails_is_an_entry_with_its_reason(small: Dataset) -> None:
    _, pixels = baseline_entries(small.where(small.labels == 0))
    assert (pixels.status, pixels.validation) == ("failed", None)
    assert "2 classes" in pixels.reason


def test_baseline_without_a_test_split_has_no_test_metrics(small: Dataset) -> None:
    majority = majority_entry(small.take(Split.TRAIN, Split.VALIDATION).summary())
    assert majority.test is None
    assert majority.validation.images == 70


def test_comparison_of_finished_runs(demo: Dataset, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, demo, "fair_newmodel", seed, 0.6) for name, seed in (("a", 0), ("b", 1))]
    comparison = compare_runs(runs, tmp_path / "out")
    assert {row.recipe: row.seeds for row in comparison.ranking} == {"fair_newmodel": 2, "baseline_majority": 1}
    assert comparison.ranked_on == "test"
    assert [entry.run for entry in comparison.entries] == ["../a", "../b", None]
    assert read_comparison(tmp_path / "out") == comparison
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["schema"] == 2


def test_runs_of_a_changed_recipe_are_named_after_their_folders(demo: Dataset, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", demo, "fair_newmodel", 0, 0.6)
    longer = write_run(tmp_path / "longer", demo, "fair_newmodel", 0, 0.6, epochs=5)
    comparison = compare_runs([run, longer], tmp_path / "mixed")
    assert {entry.recipe for entry in comparison.entries} >= {"fair_newmodel (a)", "fair_newmodel (longer)"}
    assert {entry.group for entry in comparison.entries} == {"fair", "baseline"}


def test_a_run_that_other_networks_helped_to_train_says_so(demo: Dataset, tmp_path: Path) -> None:
    alone = write_run(tmp_path / "alone", demo, "fair_newmodel", 0, 0.6)
    student = write_run(tmp_path / "student", demo, "fernet_s", 0, 0.7)
    helped = {"start": "runs/first", "teachers": "runs/second,runs/third", "distillation": 0.5}
    RunFolder(student).write_config(get_recipe("fernet_s").changed(helped), 0)
    comparison = compare_runs([alone, student], tmp_path / "out")
    assert entry_of(comparison, "fernet_s").learned_from == ("runs/first", "runs/second", "runs/third")
    assert any("contributed to fernet_s," in sentence for sentence in comparison.findings)


def test_folders_with_the_same_name_are_distinguished_by_their_paths(demo: Dataset, tmp_path: Path) -> None:
    name = "runs/fair_newmodel-seed"
    short = [write_run(tmp_path / "a" / f"{name}{seed}", demo, "fair_newmodel", seed, 0.6) for seed in (0, 1)]
    long = write_run(tmp_path / "b" / f"{name}0", demo, "fair_newmodel", 0, 0.7, epochs=9)
    ranking = compare_runs([*short, long], tmp_path / "out").ranking
    named = {row.recipe: row.seeds for row in ranking if not row.is_baseline}
    assert named == {f"fair_newmodel (a/{name}0)": 2, f"fair_newmodel (b/{name}0)": 1}


def test_runs_that_cannot_be_compared_are_refused(demo: Dataset, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
    other = write_run(tmp_path / "other", demo.where(np.arange(len(demo)) % 5 > 0), "fair_newmodel", 0, 0.6)
    renamed = replace(demo, class_names=tuple("abcdefg"))
    strange = write_run(tmp_path / "strange", renamed, "fair_newmodel", 0, 0.6)
    for target in Target:
        write_run(tmp_path / target, replace(demo, target=target), "fair_newmodel", 0, 0.6)
    with pytest.raises(RunError, match="has the target fer2013, and .* has the target ferplus"):
        compare_runs([tmp_path / "fer2013", tmp_path / "ferplus"], tmp_path / "no")
    for bad, message in (
        (other, "different test images"),
        (strange, "different classes"),
        (tmp_path, "does not contain a finished run"),
        (run, "have the same recipe and seed"),
    ):
        with pytest.raises(RunError, match=message):
            compare_runs([run, bad], tmp_path / "no")
    with pytest.raises(RunError, match="No run folders given"):
        compare_runs([], tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_runs_scored_on_other_images_or_splits_are_refused(demo: Dataset, tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / str(seed), demo, "fair_newmodel", seed, 0.6) for seed in (0, 1))
    other = write_run(tmp_path / "other", replace(demo, images=demo.images[::-1]), "fair_vgg16", 0, 0.6)
    with pytest.raises(RunError, match="was scored on different test images"):
        compare_runs([first, other], tmp_path / "out")
    for run, split in ((first, "test"), (second, "validation")):
        result = RunFolder(run).result()
        RunFolder(run).write_result(replace(result, **{split: None}))
    with pytest.raises(RunError, match="no split that all runs were scored on"):
        compare_runs([first, second], tmp_path / "out")


def test_runs_without_test_metrics_are_ranked_on_validation_images(demo: Dataset, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), demo, "fair_newmodel", seed, 0.6) for seed in (0, 1)]
    run = RunFolder(runs[1])
    run.write_result(replace(run.result(), test=None))
    assert compare_runs(runs, tmp_path / "out").ranked_on == "validation"


def test_images_in_another_order_are_matched(demo: Dataset, tmp_path: Path) -> None:
    shuffled = demo.where(np.random.default_rng(0).permutation(len(demo)))
    shuffled = replace(shuffled, names=np.array([f"row {number}" for number in range(len(demo))]))
    one = write_run(tmp_path / "one", demo, "fair_newmodel", 0, 1.0)
    two = write_run(tmp_path / "two", shuffled, "study_newmodel", 0, 1.0)
    first, second = (RunFolder(path).predictions("test") for path in (one, two))
    assert first.keys.tolist() != second.keys.tolist()
    (difference,) = compare_runs([one, two], tmp_path / "out").differences
    assert (difference.difference, difference.interval) == (0, (0, 0))


def test_copies_with_different_labels_are_one_group(demo: Dataset, tmp_path: Path) -> None:
    """Such images have different keys, but are resampled together."""
    test = np.flatnonzero(demo.splits == Split.TEST)
    images, labels = demo.images.copy(), demo.labels.copy()
    images[test] = np.repeat(images[test[::2]], 2, axis=0)
    labels[test[1::2]] = (labels[test[::2]] + 1) % 7
    run = RunFolder(write_run(tmp_path / "run", replace(demo, images=images, labels=labels), "fair_newmodel", 0, 0.6))
    predictions = run.predictions("test")
    assert len(np.unique(predictions.keys)) == len(test)
    _, sizes = np.unique(predictions.copies, return_counts=True)
    assert (len(sizes), set(sizes.tolist())) == (len(test) / 2, {2})


def test_runs_on_other_training_images_are_not_seeds_of_one_recipe(demo: Dataset, tmp_path: Path) -> None:
    fewer = demo.where((demo.splits != Split.TRAIN) | (np.arange(len(demo)) % 2 == 0))
    runs = [
        write_run(tmp_path / name, data, "fair_newmodel", seed, 0.6)
        for name, data, seed in (("full", demo, 0), ("full1", demo, 1), ("clean", fewer, 0))
    ]
    comparison = compare_runs(runs, tmp_path / "out")
    assert {row.recipe: row.seeds for row in comparison.ranking if not row.is_baseline} == {
        "fair_newmodel (full)": 2,
        "fair_newmodel (clean)": 1,
    }


def test_recipes_without_a_name_of_their_own_are_refused(small: Dataset, tmp_path: Path) -> None:
    recipe = get_recipe("fair_newmodel")
    with pytest.raises(RecipeError, match="Two different recipes have the name 'fair_newmodel'"):
        compare([recipe, recipe.changed({"learning_rate": 0.5})], small, tmp_path / "out")
    with pytest.raises(RecipeError, match="A recipe has no name"):
        compare([replace(recipe, name="")], small, tmp_path / "out")
    assert _find([recipe, recipe, "fair_newmodel"]) == [recipe]


def test_a_finished_run_is_compared_whatever_happens_to_its_maps(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "runs" / "fair_newmodel-seed0", small, "fair_newmodel", 0, 0.6))
    np.savez(run.path / "explanations.npz", maps=np.zeros(3))  # of another version
    comparison = compare(["fair_newmodel"], small, tmp_path, resume=True, epochs=4)
    assert (comparison.entries[0].status, comparison.entries[0].reason) == ("completed", None)
    assert comparison.entries[0].test is not None


def test_a_result_that_cannot_be_read_is_a_failed_entry(small: Dataset, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "fair_newmodel-seed0", small, "fair_newmodel", 0, 0.6)
    write_run(tmp_path / "runs" / "fair_newmodel-seed1", small, "fair_newmodel", 1, 0.6)
    (run / "result.json").write_text('{"schema": 99}')
    comparison = compare(["fair_newmodel"], small, tmp_path, seeds=2, resume=True, epochs=4)
    failed, completed = comparison.entries[:2]
    assert (failed.status, completed.status) == ("failed", "completed")
    assert "result.json" in (failed.reason or "")


def test_quick_trainings_have_learning_rates_for_few_images() -> None:
    """With that of the recipe, VGG16 stays at chance on the synthetic faces."""
    recipe = get_recipe("fair_vgg16")
    assert _prepared(recipe, True, {}).learning_rate == 1e-3 < recipe.learning_rate
    assert _prepared(recipe, True, {"learning_rate": 0.5}).learning_rate == 0.5
    assert _prepared(recipe, False, {}) == recipe
    mobilenet = get_recipe("fair_mobilenetv2")
    assert _prepared(mobilenet, True, {}).learning_rate == mobilenet.learning_rate
