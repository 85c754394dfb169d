"""Test run folders: what is written is read back, also from folders that ferlab wrote in schema 1."""

import json
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split
from ferlab.comparison.compare_runs import compare_runs
from ferlab.errors import RunError
from ferlab.recipes import get_recipe
from ferlab.report import write_report
from ferlab.results import Epoch, Result
from ferlab.run_arrays import Predictions, confident_mistakes, random_examples
from ferlab.runs import RunFolder, read_arrays, write_arrays
from tests.comparisons import environment, random_probabilities, write_run


def old_metrics(part: Dataset, split: Split, probabilities: np.ndarray) -> dict:
    """Compute the metrics of a split, in the format of schema 1. Those that do not matter are constants."""
    predicted, labels = probabilities.argmax(axis=1), part.labels
    accuracy = float(np.mean(predicted == labels))
    interval = [accuracy - 0.05, accuracy + 0.05]
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (labels, predicted), 1)
    return {
        "images": len(part),
        "accuracy": accuracy,
        "accuracy_interval": interval,
        "balanced_accuracy": accuracy,
        "top2_accuracy": 0.9,
        "macro_f1": 0.5,
        "log_loss": 1.0,
        "brier_score": 0.5,
        "expected_calibration_error": 0.1,
        "reliability": [{"confidence": 0.7, "accuracy": accuracy, "images": len(part)}],
        "risk_coverage": [{"coverage": 1.0, "accuracy": accuracy, "threshold": 0.7}],
        "per_class": {
            name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "images": count}
            for name, count in part.class_counts().items()
        },
        "confusion": confusion.tolist(),
        "class_names": list(part.class_names),
        "fingerprint": part.fingerprints[split.label],
        "leak_free": {"images": len(part), "accuracy": accuracy, "accuracy_interval": interval},
        "leak_free_reason": None,
        "agreement": None,
    }


def old_config(seed: int) -> dict:
    """`config.json` of study_newmodel in schema 1, with `averaging` and `departures`."""
    return {
        "schema": 1,
        "recipe": {
            "name": "study_newmodel",
            "group": "study",
            "summary": "The study's own network",
            "architecture": "newmodel",
            "model": {"scaling": "raw"},
            "epochs": 2,
            "batch_size": 16,
            "steps_per_epoch": 6,
            "augmentation": {
                "flip": True,
                "rotation": 0.0,
                "shift": 0.0,
                "zoom": 0.0,
                "independent_zoom": False,
                "contrast": 0.0,
                "erase": 0.0,
            },
            "augment_validation": True,
            "validation_images": 0,
            "optimizer": "adam",
            "learning_rate": 0.0005,
            "schedule": "constant",
            "warmup_epochs": 0.0,
            "weight_decay": 0.0,
            "label_smoothing": 0.0,
            "votes": 0.0,
            "mixup": 0.0,
            "clean_epochs": 0,
            "teachers": [],
            "distillation": 0.0,
            "class_weights": "none",
            "averaging": 0.9,
            "early_stopping": {"monitor": "val_accuracy", "patience": 0},
            "reduce_on_plateau": {"monitor": "val_loss", "patience": 3, "factor": 0.1, "minimum": 1e-05},
            "policy": "auto",
            "selection": "test_folder",
            "departures": ["selects its best epoch on the whole test/ folder"],
            "expected_accuracy": 0.6458,
            "expected_source": "the study's notebook, on the whole test/ folder",
        },
        "seed": seed,
    }


def old_environment(data: Dataset, seed: int) -> dict:
    splits = {}
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        part = data.take(split)
        fingerprint = part.fingerprints[split.label]
        splits[split.label] = {"images": len(part), "classes": part.class_counts(), "fingerprint": fingerprint}
    return {
        "schema": 1,
        "ferlab": "0.1.0",
        "commit": None,
        "python": "3.11.7",
        "backend": "tensorflow",
        "versions": {"keras": "3.15.1"},
        "device": "a machine",
        "cores": 2,
        "policy": "float32",
        "seed": seed,
        "dataset": {"source": "demo", "class_names": list(data.class_names), "splits": splits, "notes": []},
        "skipped": [{"name": "broken.png", "reason": "it is empty"}],
    }


def old_result(seed: int, metrics: dict[str, dict]) -> dict:
    return {
        "schema": 1,
        "status": "completed",
        "recipe": "study_newmodel",
        "architecture": "newmodel",
        "seed": seed,
        "parameters": 4478727,
        "trainable_parameters": 4474759,
        "multiply_adds": 290475520,
        "epochs": 2,
        "best_epoch": 1,
        "seconds_per_epoch": 3.2,
        "seconds": 6.4,
        "selected_on": "validation+test",
        "selection_accuracy": 0.6,
        "weights": "as trained",
        "departures": ["selects its best epoch on the whole test/ folder"],
        "validation_reason": None,
        "test_reason": None,
        **metrics,
    }


def write_old_run(path: Path, data: Dataset, seed: int) -> Path:
    """Write a run folder as ferlab did in schema 1, with predictions that do not name copies."""
    path.mkdir(parents=True)
    arrays, metrics = {}, {}
    for split in (Split.VALIDATION, Split.TEST):
        part = data.take(split)
        probabilities = random_probabilities(part, 0.6, np.random.default_rng(seed)).astype(np.float32)
        examples = np.union1d(random_examples(len(part)), confident_mistakes(part.labels, probabilities))
        stored = {
            "probabilities": probabilities,
            "labels": part.labels,
            "names": part.names,
            "keys": np.array([int.from_bytes(digest[:8], "big") for digest in part.digests()], np.uint64),
            "examples": examples,
            "example_images": part.images[examples],
        }
        arrays |= {f"{split.label}_{name}": array for name, array in stored.items()}
        metrics[split.label] = old_metrics(part, split, probabilities)
    for name, values in (
        ("config", old_config(seed)),
        ("environment", old_environment(data, seed)),
        ("result", old_result(seed, metrics)),
    ):
        (path / f"{name}.json").write_text(json.dumps(values))
    lines = [
        {"epoch": 1, "accuracy": 0.11, "loss": 2.5, "val_loss": 2.2, "val_accuracy": 0.14, "learning_rate": 0.0005},
        {"epoch": 2, "accuracy": 0.15, "loss": 2.4, "val_loss": 2.1, "val_accuracy": 0.16},
    ]
    (path / "history.jsonl").write_text("".join(json.dumps(line | {"seconds": 3.9}) + "\n" for line in lines))
    np.savez(path / "predictions.npz", **arrays)
    return path


def test_old_run_folder_is_read(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_old_run(tmp_path / "run", small, 3))
    recipe = run.recipe()
    assert recipe.deviations == ("selects its best epoch on the whole test/ folder",)
    assert (recipe.name, recipe.ema, recipe.selection, run.seed()) == ("study_newmodel", 0.9, "test_folder", 3)
    assert run.dataset() == small.summary()
    assert run.fingerprints() == small.fingerprints
    assert run.num_training_images() == 112
    assert run.environment().skipped[0].name == "broken.png"
    result = run.result()
    assert result.finished
    assert result.selected_on == ("validation", "test")
    assert result.deviations == recipe.deviations
    assert result.test.images == 70
    assert result.test.calibrated is None
    assert [epoch.learning_rate for epoch in run.history()] == [0.0005, 0.0]


def test_old_predictions_have_groups_of_copies(small: Dataset, tmp_path: Path) -> None:
    """Without stored groups, images with the same key are copies."""
    run = RunFolder(write_old_run(tmp_path / "run", small, 0))
    predictions = run.predictions("test")
    assert predictions.probabilities.shape == (70, 7)
    assert len(np.unique(predictions.copies)) == len(np.unique(predictions.keys))
    assert run.predictions("train") is None


def test_old_and_new_run_folders_are_compared_and_reported(small: Dataset, tmp_path: Path) -> None:
    old = [write_old_run(tmp_path / f"old-{seed}", small, seed) for seed in (0, 1)]
    new = write_run(tmp_path / "new", small, "fair_newmodel", 0, 0.7)
    comparison = compare_runs([*old, new], tmp_path / "out")
    row = comparison.row("study_newmodel")
    assert (row.seeds, row.group, row.selected_on) == (2, "study", ("validation", "test"))
    assert {entry.deviations for entry in comparison.entries if entry.recipe == "study_newmodel"} == {
        ("selects its best epoch on the whole test/ folder",)
    }
    page = write_report(tmp_path / "out").read_text()
    assert "study_newmodel†" in page
    assert "selects its best epoch on the whole test/ folder" in page
    assert "--set ema=0.9" in page


def test_old_run_folder_can_be_scored_again(small: Dataset, tmp_path: Path) -> None:
    """Files that are written again have the current schema; the others are unchanged."""
    run = RunFolder(write_old_run(tmp_path / "run", small, 0))
    run.write_result(run.result())
    part = small.take(Split.TEST)
    run.write_predictions("test", Predictions.on(part, np.eye(7)[part.labels]))
    again = RunFolder(run.path)
    assert json.loads((run.path / "result.json").read_text())["schema"] == 2
    assert again.result() == run.result()
    assert again.predictions("test").correct.all()
    assert not again.predictions("validation").correct.all()
    assert json.loads((run.path / "config.json").read_text())["schema"] == 1


def test_what_is_written_is_read_back(small: Dataset, tmp_path: Path) -> None:
    run, recipe = RunFolder(tmp_path / "run"), get_recipe("fair_newmodel").changed({"epochs": 3})
    assert not run.exists()
    history = [Epoch(epoch=1, loss=1.0, accuracy=0.5, val_loss=1.1, val_accuracy=0.4, seconds=2.0)]
    result = Result(status="interrupted", recipe=recipe.name, seed=4, epochs=1, selected_on=("validation",))
    run.write_config(recipe, 4)
    run.write_environment(environment(small.summary(), 4))
    run.write_history(history)
    run.write_result(result)
    again = RunFolder(tmp_path / "run")
    assert again.exists()
    assert (again.recipe(), again.seed(), again.result()) == (recipe, 4, result)
    assert again.environment() == environment(small.summary(), 4)
    assert again.history() == tuple(history)


def test_predictions_are_read_back_and_matched_by_their_keys(small: Dataset, tmp_path: Path) -> None:
    run, part = RunFolder(tmp_path), small.take(Split.TEST)
    probabilities = random_probabilities(part, 0.5, np.random.default_rng(0))
    run.write_predictions("test", Predictions.on(part, probabilities))
    stored = RunFolder(tmp_path).predictions("test")
    np.testing.assert_array_equal(stored.probabilities, probabilities.astype(np.float32))
    np.testing.assert_array_equal(stored.correct, probabilities.argmax(axis=1) == part.labels)
    np.testing.assert_array_equal(stored.example_images, part.images[stored.examples])
    assert np.all(np.diff(stored.keys[stored.order].astype(object)) > 0)
    assert stored.position(stored.keys[5]) == 5


def test_each_file_is_read_once(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.5))
    first = run.environment(), run.result(), run.recipe(), run.history()
    for file in run.path.glob("*.json*"):
        file.unlink()
    assert (run.environment(), run.result(), run.recipe(), run.history()) == first


def test_run_without_a_model_is_refused(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.5))
    with pytest.raises(RunError, match="does not contain a trained model"):
        run.trained_result()
    run.model_file.touch()
    assert run.trained_result() == run.result()


def test_recipes_with_other_fields_are_of_another_version(tmp_path: Path) -> None:
    for recipe in ({"architecture": "newmodel", "momentum": 0.9}, {"epochs": 3}):
        (tmp_path / "config.json").write_text(json.dumps({"schema": 1, "recipe": recipe}))
        with pytest.raises(RunError, match=r"config\.json was written by another version of ferlab"):
            RunFolder(tmp_path).recipe()


def test_pickled_predictions_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", test_keys=np.array([{}], dtype=object))
    with pytest.raises(RunError, match=r"predictions\.npz cannot be read"):
        RunFolder(tmp_path).predictions("test")


def test_an_array_whose_header_states_fewer_values_is_refused(tmp_path: Path) -> None:
    """The checksum covers all bytes, but only as many are read as the header states."""
    path = tmp_path / "predictions.npz"
    write_arrays(path, {"labels": np.arange(80)})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'shape': (80,)", b"'shape': (10,)"))
    with pytest.raises(RunError, match=r"labels.npy does not match its checksum"):
        read_arrays(path)


def test_a_member_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "predictions.npz", "w") as archive:
        archive.writestr("labels.npy", b"text")
    with pytest.raises(RunError, match="labels is not an array"):
        read_arrays(tmp_path / "predictions.npz")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"names": None}, "missing 1 required keyword-only argument: 'names'"),
        ({"labels": np.zeros(3, np.int64)}, "probabilities has an unexpected shape or dtype"),
        ({"probabilities": np.full((70, 7), "x")}, "probabilities has an unexpected shape or dtype"),
        ({"probabilities": np.full((70, 7), np.nan)}, "a probability is not a finite number"),
        ({"labels": np.full(70, 7)}, "a label is not one of the classes"),
        ({"example_images": np.zeros((1, 48, 48), np.uint8)}, "example_images has an unexpected shape or dtype"),
    ],
)
def test_predictions_whose_arrays_do_not_fit_together_are_refused(
    changes: dict[str, np.ndarray | None], reason: str, small: Dataset, tmp_path: Path
) -> None:
    path = write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.6) / "predictions.npz"
    arrays = read_arrays(path) | {f"validation_{name}": array for name, array in changes.items()}
    write_arrays(path, {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(RunError, match=rf"predictions\.npz is damaged: .*{reason}"):
        RunFolder(tmp_path / "run").predictions("validation")


def test_lock_keeps_others_out_until_it_is_released(tmp_path: Path) -> None:
    def try_lock() -> None:
        try:
            with RunFolder(tmp_path).lock():
                outcomes.append("free")
        except RunError as error:
            outcomes.append(str(error))

    outcomes: list[str] = []
    with RunFolder(tmp_path).lock():
        thread = threading.Thread(target=try_lock)
        thread.start()
        thread.join()
    try_lock()
    assert "is in use by another process" in outcomes[0]
    assert outcomes[1] == "free"
