"""Train on real, if few, images: seeds, resumption after a kill, divergence, and the protocol guard."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, evaluate, load_dataset, train
from ferlab.comparison.baselines import baseline_entries
from ferlab.errors import DataError, FerlabError, OutputError, ProtocolError, RecipeError, RunError, TrainingError
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.models import count_parameters, predict_logits
from ferlab.plugins import load_plugin, unload_plugin
from ferlab.recipes import Recipe, get_recipe
from ferlab.results import Epoch
from ferlab.runs import RunFolder, read_arrays
from ferlab.training.callbacks import Interruption
from ferlab.training.checkpoint import Checkpoint

# Dropout, a moving average, learning-rate reduction and early stopping, on a network small enough for a test.
DEMANDING = {
    "epochs": 5,
    "batch_size": 32,
    "steps_per_epoch": 3,
    "ema": 0.8,
    "schedule": "constant",
    "early_stopping.patience": 4,
    "reduce_on_plateau.patience": 1,
    "policy": "auto",
}


def test_a_training_writes_a_complete_run_folder(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(train("study_newmodel", small, tmp_path / "run", seed=3, epochs=2, batch_size=56).path)
    result, environment = run.result(), run.environment()
    assert result is not None
    assert (result.status, result.epochs, result.parameters) == ("completed", 2, 4_478_727)
    assert (result.recipe, result.architecture, result.seed) == ("study_newmodel", "newmodel", 3)
    assert result.selected_on == ("validation", "test")
    assert result.deviations
    assert (result.test, result.test_reason is None) == (None, False)
    assert environment.seed == run.seed() == 3
    assert environment.dataset == small.summary()
    assert [epoch.epoch for epoch in run.history()] == [1, 2]
    assert all(min(epoch.loss, epoch.val_loss, epoch.learning_rate, epoch.seconds) > 0 for epoch in run.history())
    model = keras.models.load_model(run.model_file)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    validation, predictions = small.take(Split.VALIDATION), run.require_predictions("validation")
    accuracy = np.mean(predict_logits(model, validation.images).argmax(axis=1) == validation.labels)
    assert result.validation is not None
    assert result.validation.accuracy == pytest.approx(accuracy) == np.mean(predictions.correct)
    assert predictions.probabilities.shape == (len(validation), 7)
    assert run.predictions("test") is None
    assert not list(run.path.rglob("*.tmp")) + list(run.path.glob(".model*"))


@pytest.mark.slow
def test_class_names_of_the_data_set_are_used_everywhere(small: Dataset, tmp_path: Path) -> None:
    """Three classes with other names: in the model, the run folder and all metrics."""
    names = ("cat", "dog", "eel")
    three = replace(small.where(small.labels < 3), class_names=names, notes=("validation: 15 % of train/",))
    run = train("study_newmodel", three, tmp_path / "run", epochs=1, batch_size=16)
    assert (run.dataset().class_names, run.dataset().notes) == (names, ("validation: 15 % of train/",))
    assert run.require_predictions("validation").probabilities.shape[1] == 3
    validation = run.trained_result().validation
    assert validation is not None
    assert tuple(evaluate(run.path, three, "test").per_class) == tuple(validation.per_class) == names
    for entry in baseline_entries(three):
        assert entry.test is not None
        assert np.shape(entry.test.confusion) == (3, 3)


@pytest.mark.slow
def test_the_weights_of_the_best_epoch_are_saved(small: Dataset, tmp_path: Path) -> None:
    run = train("study_newmodel", small, tmp_path / "run", epochs=3, augment_validation=False, policy="float32")
    best = max(run.history(), key=lambda epoch: epoch.val_accuracy)
    assert run.trained_result().best_epoch == best.epoch
    assert run.trained_result().selection_accuracy == best.val_accuracy
    selected_on = small.take(Split.VALIDATION, Split.TEST)
    model = keras.models.load_model(run.model_file)
    accuracy = np.mean(predict_logits(model, selected_on.images).argmax(axis=1) == selected_on.labels)
    assert accuracy == pytest.approx(best.val_accuracy, abs=1e-9)


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(small_table: Path, tmp_path: Path) -> None:
    """Killed with SIGKILL within an epoch. `make torture` does it at every file operation."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train("fair_newmodel", load_dataset(small_table), whole, seed=5, **DEMANDING)
    process = start(small_table, broken)
    wait_for(lambda: len(RunFolder(broken).history()) >= 2, process)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert RunFolder(broken).result() is None
    assert start(small_table, broken).wait() == 0
    expected, found = RunFolder(whole), RunFolder(broken)
    assert without_seconds(found.history()) == without_seconds(expected.history())
    best = f"checkpoint/{expected.best_file(expected.trained_result().best_epoch).name}"
    for name in ("checkpoint/state.npz", best, "predictions.npz"):
        first, second = read_arrays(whole / name), read_arrays(broken / name)
        assert first.keys() == second.keys()
        for key in first.keys() - {"meta"}:
            np.testing.assert_array_equal(first[key], second[key], err_msg=f"{name}: {key}")
    rates = {epoch.learning_rate for epoch in expected.history()}
    assert len(rates) > 1, "the learning rate was never reduced, so its reduction was not tested"


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_run_folder_with_a_checkpoint(small_table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(small_table, out, steps_per_epoch=9)
    wait_for(lambda: len(RunFolder(out).history()) >= 1, process)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 1
    interrupted = RunFolder(out)
    assert interrupted.trained_result().status == "interrupted"
    assert 1 <= len(interrupted.history()) < DEMANDING["epochs"]
    assert interrupted.state_file.is_file()


@pytest.mark.slow
def test_better_weights_without_their_checkpoint_are_ignored(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changing: Path
) -> None:
    """Killed after the weights of a better epoch were written and before its checkpoint, then stopped by Ctrl-C."""
    recipe = Recipe(architecture="changing", epochs=3, batch_size=56, steps_per_epoch=2, policy="float32")
    expected = train(recipe, small, tmp_path / "whole")

    def killed(self: Checkpoint, epoch: int, logs: object = None) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Checkpoint, "on_epoch_end", killed)
        train(recipe, small, tmp_path / "broken")
    assert RunFolder(tmp_path / "broken").best_file(1).is_file()
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_batch_end", interrupt)
        interrupted = train(recipe, small, tmp_path / "broken", resume=True)
    assert (interrupted.result(), interrupted.model_file.exists()) == (None, False)
    resumed = train(recipe, small, tmp_path / "broken", resume=True)
    assert without_seconds(resumed.history()) == without_seconds(expected.history())
    assert sorted(path.name for path in (resumed.path / "checkpoint").iterdir()) == [
        f"best-{expected.trained_result().best_epoch:04d}.npz",
        "state.npz",
    ]


def interrupt(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_is_not_resumed_with_other_code(small: Dataset, tmp_path: Path, changing: Path) -> None:
    changes = {"epochs": 1, "steps_per_epoch": 1}
    run = train(Recipe(architecture="changing", **changes), small, tmp_path / "run")
    (run.path / "result.json").unlink()
    changing.write_text(PLUGIN.replace("ACTIVATION", "elu"))
    with pytest.raises(RunError, match="another version of the plugin that defines 'changing'"):
        train(Recipe(architecture="changing", **changes), small, tmp_path / "run", resume=True)
    changing.write_text(PLUGIN.replace("ACTIVATION", "relu"))
    environment = RunFolder(run.path).environment()
    RunFolder(run.path).write_environment(dataclasses.replace(environment, backend="jax"))
    with pytest.raises(RunError, match="started with the backend jax, not tensorflow. Pass --backend jax"):
        train(Recipe(architecture="changing", **changes), small, tmp_path / "run", resume=True)
    RunFolder(run.path).write_environment(dataclasses.replace(environment, device="2 x NVIDIA H100"))
    with pytest.raises(RunError, match="was started on 2 devices, not 1"):
        train(Recipe(architecture="changing", **changes), small, tmp_path / "run", resume=True)


@pytest.mark.parametrize("option", ["scaling", "interpolation"])
def test_a_run_whose_model_cannot_be_built_leaves_nothing_to_resume(
    option: str, small: Dataset, tmp_path: Path
) -> None:
    changes = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 8}
    with pytest.raises(FerlabError, match=f"Unknown {option} 'x'"):
        train("fair_mobilenetv2", small, tmp_path / "run", **changes, **{f"model.{option}": "x"})
    assert not RunFolder(tmp_path / "run").exists()


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Path]:
    """A loaded plugin with a small network."""
    plugin = tmp_path / "changing.py"
    plugin.write_text(PLUGIN.replace("ACTIVATION", "relu"))
    load_plugin(plugin)
    yield plugin
    unload_plugin("changing")


PLUGIN = """
import keras

def build(num_classes):
    images = keras.Input((48, 48, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(images))
    x = keras.layers.Dense(8, activation="ACTIVATION")(x)
    return keras.Model(images, keras.layers.Dense(num_classes, dtype="float32")(x))
"""


def start(small_table: Path, out: Path, **settings: int) -> subprocess.Popen:
    changes = [f"--set={key}={value}" for key, value in (DEMANDING | settings).items()]
    command = [sys.executable, "-m", "ferlab", "train", "fair_newmodel", "--data", str(small_table), "--out", str(out)]
    return subprocess.Popen([*command, *changes, "--quiet", "--resume", "--seed", "5"], stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, limit: float = 300) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, "the training ended before it was interrupted"
        assert time.monotonic() < until
        time.sleep(0.02)


def without_seconds(history: Sequence[Epoch]) -> list[Epoch]:
    return [dataclasses.replace(epoch, seconds=0.0) for epoch in history]


def stored_values(run: RunFolder) -> int:
    """The number of values in the checkpoint of the best epoch."""
    best = run.best_file(run.trained_result().best_epoch)
    return sum(array.size for name, array in read_arrays(best).items() if name.startswith("model/"))


@pytest.mark.slow
def test_only_the_head_is_trained_if_the_backbone_is_frozen(small: Dataset, tmp_path: Path) -> None:
    """The checkpoint holds the head alone, and the saved model the whole network."""
    changes = {"model.weights": "none", "model.input_size": 64, "epochs": 1, "steps_per_epoch": 2}
    run = train("study_mobilenetv2", small, tmp_path / "run", **changes)
    assert stored_values(run) < 1.4e6
    assert count_parameters(keras.models.load_model(run.model_file))[0] == 3_576_903


@pytest.mark.slow
def test_mixup_mixes_images_even_if_the_backbone_is_frozen(small: Dataset, tmp_path: Path) -> None:
    """A head alone could only be trained on mixed features."""
    changes = {"model.weights": "none", "model.input_size": 32, "epochs": 1, "steps_per_epoch": 2, "mixup": 0.2}
    assert stored_values(train("study_mobilenetv2", small, tmp_path / "run", **changes)) > 3e6


@pytest.mark.slow
def test_all_epochs_are_clean_if_there_are_fewer_than_clean_epochs(small: Dataset, tmp_path: Path) -> None:
    changes = {"epochs": 1, "clean_epochs": 10, "batch_size": 56, "steps_per_epoch": 2, "policy": "float32"}
    assert train("fernet_s", small, tmp_path / "run", **changes).trained_result().status == "completed"


@pytest.mark.slow
def test_mirrored_networks_are_saved_with_plain_keras_layers(small: Dataset, tmp_path: Path) -> None:
    changes = {"epochs": 1, "batch_size": 56, "steps_per_epoch": 2, "policy": "float32", "model.mirrored": True}
    run = train("fernet_s_quick", small, tmp_path / "run", **changes)
    model, images = keras.models.load_model(run.model_file), small.take(Split.VALIDATION).images
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    logits = predict_logits(model, images)
    np.testing.assert_allclose(predict_logits(model, images[:, :, ::-1]), logits, atol=1e-3)
    expected = log_loss(small.take(Split.VALIDATION).labels, log_softmax(logits))
    assert run.history()[0].val_loss == pytest.approx(expected, rel=1e-4)


def test_divergence_stops_the_training_and_is_the_reason_in_the_result(small: Dataset, tmp_path: Path) -> None:
    changes = {"learning_rate": 1e38, "optimizer": "sgd", "epochs": 3, "batch_size": 56, "policy": "float32"}
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) in epoch 1.*lower --set learning_rate"):
        train("study_newmodel", small, tmp_path / "run", **changes)
    run = RunFolder(tmp_path / "run")
    result = run.result()
    assert result is not None
    assert (result.status, result.recipe, result.finished) == ("failed", "study_newmodel", False)
    assert "diverged" in str(result.reason)
    with pytest.raises(RunError, match="does not contain a trained model"):
        run.trained_result()


@pytest.mark.slow
def test_an_existing_run_is_never_overwritten(small: Dataset, tmp_path: Path) -> None:
    changes = {"epochs": 1, "batch_size": 56}
    train("study_newmodel", small, tmp_path, **changes)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="already contains a run"):
        train("study_newmodel", small, tmp_path, **changes)
    with pytest.raises(RunError, match="another recipe or seed"):
        train("study_newmodel", small, tmp_path, resume=True, epochs=2)
    with pytest.raises(RunError, match="another recipe or seed"):
        train("study_newmodel", small, tmp_path, resume=True, seed=1, **changes)
    with pytest.raises(RunError, match="trained on different data"):
        train("study_newmodel", small.take(Split.TRAIN, Split.VALIDATION), tmp_path, resume=True, **changes)
    train("study_newmodel", small, tmp_path, resume=True, **changes)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_folder_in_use_raises(small: Dataset, tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock(), pytest.raises(RunError, match="in use by another process"):
        train("study_newmodel", small, tmp_path)


def test_a_folder_that_cannot_be_created_raises(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"file/run cannot be created: .*Choose another location"):
        train("study_newmodel", small, tmp_path / "file" / "run")


def test_the_test_split_never_replaces_a_missing_validation_split(small: Dataset, tmp_path: Path) -> None:
    assert get_recipe("fair_newmodel").selection == "validation"
    with pytest.raises(ProtocolError, match="no validation images"):
        train("fair_newmodel", small.take(Split.TRAIN, Split.TEST), tmp_path / "run")
    with pytest.raises(DataError, match="no train images"):
        train("fair_newmodel", small.take(Split.VALIDATION), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_distillation_without_teachers_raises(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--set teachers=DIR,DIR"):
        train("fair_newmodel", small, tmp_path / "run", distillation=0.5)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "field", "value"), [("fair_newmodel", "dropout", 2.0), ("fair_mobilenetv2", "input_size", 24)]
)
def test_a_model_that_cannot_be_built_is_named_and_leaves_no_run(
    small: Dataset, tmp_path: Path, recipe: str, field: str, value: float
) -> None:
    with pytest.raises(RecipeError, match=f"cannot be built with .*model.{field}={value}"):
        train(recipe, small, tmp_path / "run", **{f"model.{field}": value})
    assert not RunFolder(tmp_path / "run").exists()
