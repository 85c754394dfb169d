"""Checkpoints: variables survive a round trip, and a checkpoint of another model is refused."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab.array_files import write_arrays
from ferlab.errors import RunError, TrainingError
from ferlab.progress import TrainingProgress
from ferlab.recipes import Recipe
from ferlab.runs import RunFolder, read_arrays
from ferlab.training.checkpoint import Checkpoint, assign_variables, read_variables, stop_if_diverged

INPUTS, TARGETS = np.random.default_rng(0).normal(size=(2, 8, 3)).astype(np.float32)


def network(units: int = 3, seed: int = 0) -> keras.Model:
    """A small network whose loss depends on random numbers of its own."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse", metrics=["accuracy"], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


class Validation(keras.callbacks.Callback):
    """Measure what a checkpoint records, and count epochs."""

    state_names = ("count",)
    count = 0

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run = run

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.count = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.count += 1
        logs |= {"val_loss": 1.0, "val_accuracy": 0.5}
        if epoch == 0:
            write_arrays(self.run.best_file(1), read_variables(self.model))


def fit(model: keras.Model, folder: Path, epochs: int) -> Checkpoint:
    """Train from the last checkpoint in a folder, if there is one, up to a number of epochs."""
    recipe = Recipe(architecture="newmodel", epochs=epochs)
    run = RunFolder(folder)
    checkpoint = Checkpoint(run, [Validation(run)], TrainingProgress(recipe, quiet=True))
    first = checkpoint.restore(model)
    callbacks = [*checkpoint.watched, checkpoint]
    model.fit(
        INPUTS, TARGETS, batch_size=4, epochs=epochs, initial_epoch=first, callbacks=callbacks, shuffle=False, verbose=0
    )
    return checkpoint


def test_assigned_variables_are_those_that_were_read(tmp_path: Path) -> None:
    model, other = network(seed=0), network(seed=1)
    write_arrays(tmp_path / "arrays.npz", read_variables(model))
    assign_variables(other, read_arrays(tmp_path / "arrays.npz"))
    np.testing.assert_array_equal(model(INPUTS), other(INPUTS))


def test_read_variables_are_copies() -> None:
    model = network()
    before = read_variables(model)
    kernel = before["model/0"].copy()
    model.variables[0].assign(kernel + 1)
    np.testing.assert_array_equal(before["model/0"], kernel)


def test_training_continues_from_a_checkpoint_with_the_same_numbers(tmp_path: Path) -> None:
    """Weights, moments of the optimizer, random numbers of dropout, and the state of callbacks."""
    whole = fit(network(), tmp_path / "whole", epochs=3)
    fit(network(), tmp_path / "broken", epochs=2)
    resumed = fit(network(seed=1), tmp_path / "broken", epochs=3)
    assert resumed.watched[0].count == whole.watched[0].count == 3
    assert [epoch.loss for epoch in resumed.history] == [epoch.loss for epoch in whole.history]
    assert [epoch.epoch for epoch in RunFolder(tmp_path / "broken").history()] == [1, 2, 3]
    first, second = (read_arrays(RunFolder(tmp_path / name).state_file) for name in ("whole", "broken"))
    assert first.keys() == second.keys()
    for name in first.keys() - {"meta"}:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_the_history_lacks_no_epoch_that_the_checkpoint_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may be killed between the two files; the epoch that only the history has is trained again."""
    fit(network(), tmp_path, epochs=1)

    def killed(path: Path, arrays: dict[str, np.ndarray]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ferlab.training.checkpoint.write_arrays", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(network(), tmp_path, epochs=2)
    assert [epoch.epoch for epoch in RunFolder(tmp_path).history()] == [1, 2]
    assert [epoch.epoch for epoch in fit(network(), tmp_path, epochs=3).history] == [1, 2, 3]


def test_the_status_says_whether_the_training_was_stopped_early(tmp_path: Path) -> None:
    checkpoint = fit(network(), tmp_path, epochs=1)
    assert checkpoint.status == "completed"
    checkpoint.stopped = True
    assert checkpoint.status == "stopped early"


def test_a_checkpoint_of_another_structure_raises(tmp_path: Path) -> None:
    fit(network(), tmp_path, epochs=1)
    with pytest.raises(RunError, match="another version of ferlab, whose model has a different structure"):
        fit(network(units=4), tmp_path, epochs=2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"optimizer/1": None}, "'optimizer/1'"),
        ({"model/0": np.zeros((0, 3))}, "different structure"),
        ({"meta": None}, "'meta'"),
        ({"meta": np.array("[]")}, "list indices must be integers"),
        ({"meta": np.array('{"history": [{"epoch": 1}], "states": [], "stopped": false}')}, "history|epoch|loss"),
        ({"meta": np.array('{"history": [], "states": [{"count": 1}], "stopped": false}')}, "it has no epoch"),
    ],
)
def test_a_damaged_checkpoint_raises(changes: dict[str, np.ndarray | None], reason: str, tmp_path: Path) -> None:
    fit(network(), tmp_path, epochs=1)
    state = RunFolder(tmp_path).state_file
    arrays = read_arrays(state) | changes
    write_arrays(state, {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(RunError, match=reason):
        fit(network(), tmp_path, epochs=2)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_raises(loss: float) -> None:
    stop_if_diverged("loss", 1e30, 0)
    with pytest.raises(TrainingError, match=rf"The loss is {loss} in epoch 3: .*Try a lower"):
        stop_if_diverged("loss", loss, 2)
