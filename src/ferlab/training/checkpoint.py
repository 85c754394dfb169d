"""Checkpoints: everything that the next epoch depends on, saved at the end of each epoch."""

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ferlab.array_files import write_arrays
from ferlab.errors import RunError, TrainingError, reason_of
from ferlab.json_files import parse
from ferlab.progress import TrainingProgress
from ferlab.results import Epoch, Status
from ferlab.runs import RunFolder, read_arrays

CHECK_INTERVAL = 0.5  # seconds between checks of the loss within an epoch; each check waits for the device


class Checkpoint(keras.callbacks.Callback):
    """Save the state of the training after each epoch, stop when the loss is not finite, and report progress.

    Args:
        run: the run folder to save to.
        watched: the callbacks before this one; each lists in `state_names` the attributes to be saved.
        progress: reports each step and epoch.
    """

    def __init__(self, run: RunFolder, watched: list[Any], progress: TrainingProgress) -> None:
        super().__init__()
        self.run, self.watched, self.progress = run, watched, progress
        self.history: list[Epoch] = []
        self.states: list[dict[str, Any]] = []
        self.stopped = False
        self.started = self.checked = 0.0

    @property
    def status(self) -> Status:
        """How the training ended."""
        return "stopped early" if self.stopped else "completed"

    def restore(self, model: keras.Model) -> int:
        """Load the last checkpoint, if there is one, and return the number of completed epochs.

        Raises:
            RunError: if it is damaged, belongs to a model with a different structure, or lacks the weights of the best
                epoch.
        """
        if not self.run.state_file.is_file():
            return 0
        arrays = read_arrays(self.run.state_file)
        stored = [arrays[name].shape for name in arrays if name.startswith("model/")]
        if stored != [tuple(variable.shape) for variable in model.variables]:
            raise RunError(
                f"{self.run.state_file} is damaged, or by another version of ferlab, whose model has a different "
                "structure. Choose another --out."
            )
        try:
            self._assign(model, arrays)
        except Exception as error:  # arrays and JSON values may be missing or of any kind
            raise RunError(
                f"{self.run.state_file} is damaged: {reason_of(error)}. Restore it, or choose another --out."
            ) from error
        if not self.run.best_file(best_epoch(self.history).epoch).is_file():
            raise RunError(
                f"{self.run.path} lacks the weights of its best epoch: it was started by another version of ferlab, or "
                "its folder was changed. Choose another --out."
            )
        self.run.write_history(self.history)
        return len(self.history)

    def _assign(self, model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
        assign_variables(model, arrays)
        for index, variable in enumerate(model.optimizer.variables):
            variable.assign(arrays[f"optimizer/{index}"])
        meta = json.loads(str(arrays["meta"]))
        self.history = [parse(Epoch, epoch, self.run.state_file) for epoch in meta["history"]]
        self.states = [
            {name: state[name] for name in item.state_names}
            for item, state in zip(self.watched, meta["states"], strict=True)
        ]
        self.stopped = bool(meta["stopped"])
        if not self.history:
            raise ValueError("it has no epoch")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the state of the watched callbacks, which Keras resets when training begins.

        This callback must therefore come last.
        """
        for callback, state in zip(self.watched, self.states, strict=False):
            for name, value in state.items():
                setattr(callback, name, value)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()
        self.progress.begin_epoch(epoch, self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        self.progress.step()
        if time.perf_counter() - self.checked > CHECK_INTERVAL:
            self.checked = time.perf_counter()
            stop_if_diverged("loss", float(logs["loss"]), len(self.history))
            self.progress.show(float(logs["accuracy"]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        stop_if_diverged("loss", float(logs["loss"]), epoch)
        measured = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.perf_counter() - self.started, 3)
        entry = Epoch(epoch=epoch + 1, **measured, learning_rate=rate, seconds=seconds)
        self.history.append(entry)
        self.stopped = bool(self.model.stop_training) and len(self.history) < self.params["epochs"]
        self.run.write_history(self.history)  # first, so that no completed epoch is missing; `restore` shortens it
        write_arrays(self.run.state_file, self._state())
        self.run.remove_other_best_files(best_epoch(self.history).epoch)
        self.progress.end_epoch(entry)

    def _state(self) -> dict[str, np.ndarray]:
        meta = {
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "states": [{name: getattr(item, name) for name in item.state_names} for item in self.watched],
            "stopped": self.stopped,
        }
        optimizer = {f"optimizer/{index}": _copy(item) for index, item in enumerate(self.model.optimizer.variables)}
        return read_variables(self.model) | optimizer | {"meta": np.array(json.dumps(meta, default=float))}


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the highest selection accuracy; the first one if there are several."""
    return max(history, key=lambda epoch: epoch.val_accuracy)


def stop_if_diverged(name: str, loss: float, epochs_done: int) -> None:
    """Stop training when the loss is not finite.

    Raises:
        TrainingError: if it is not.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"The {name} is {loss} in epoch {epochs_done + 1}: the training diverged. Try a lower --set learning_rate=."
        )


def read_variables(model: keras.Model) -> dict[str, np.ndarray]:
    """Copy all variables of a model, seed generators included, into arrays named `model/<index>`."""
    return {f"model/{index}": _copy(variable) for index, variable in enumerate(model.variables)}


def _copy(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable), copy=True)


def assign_variables(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Assign arrays, as `read_variables` returns them, to the variables of a model."""
    for index, variable in enumerate(model.variables):
        variable.assign(arrays[f"model/{index}"])
