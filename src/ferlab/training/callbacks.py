"""Keras callbacks of a training: choosing the best epoch, and checkpoints from which it resumes to the same numbers."""

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ferlab.errors import RunError, TrainingError
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.models import predict_logits
from ferlab.progress import TrainingProgress
from ferlab.recipes import Recipe
from ferlab.recipes.augmentation import augment
from ferlab.runs import RunFolder, read_arrays, write_arrays
from ferlab.training.batches import VALIDATION, BatchStream

STATISTICS_IMAGES = 1024  # training images from which batch statistics of averaged weights are estimated
STATISTICS_BATCH = 128


class Selection(keras.callbacks.Callback):
    """After each epoch, scores the model on the selection split and keeps the weights of the best one.

    Where the recipe averages weights, the averaged ones are scored and kept, with batch statistics estimated for them
    from training batches (https://arxiv.org/abs/1803.05407, section 3.2); training goes on with the raw ones.
    """

    state_names = ("best", "best_epoch")

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        inputs: np.ndarray,
        labels: np.ndarray,
        stream: BatchStream,
        seed: int,
    ) -> None:
        super().__init__()
        chosen = np.arange(len(labels))
        if recipe.validation_images:
            chosen = np.random.default_rng([seed, VALIDATION]).permutation(chosen)[: recipe.validation_images]
        self.file, self.recipe, self.stream, self.seed = run.best_file, recipe, stream, seed
        self.inputs, self.labels = inputs[chosen], labels[chosen]
        self.best = -math.inf
        self.best_epoch = -1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        with self._evaluation_weights(epoch):
            log_probabilities = log_softmax(predict_logits(self.model, self._inputs(epoch)))
            accuracy = float(np.mean(log_probabilities.argmax(axis=1) == self.labels))
            logs["val_loss"] = log_loss(self.labels, log_probabilities)
            stop_if_diverged("validation loss", logs["val_loss"], epoch)
            logs["val_accuracy"] = accuracy
            if accuracy > self.best:
                self.best, self.best_epoch = accuracy, epoch
                write_arrays(self.file, variables(self.model))

    def _inputs(self, epoch: int) -> np.ndarray:
        if not self.recipe.augment_validation:
            return self.inputs
        generator = np.random.default_rng([self.seed, VALIDATION, epoch])
        return augment(self.inputs, self.recipe.augmentation, generator)

    @contextmanager
    def _evaluation_weights(self, epoch: int) -> Iterator[None]:
        if not self.recipe.ema:
            yield
            return
        raw = variables(self.model)
        averages = self.model.optimizer._model_variables_moving_average  # no public name, as in Keras's own callback
        try:
            for variable, average in zip(self.model.trainable_variables, averages, strict=True):
                variable.assign(keras.ops.copy(average))  # JAX gives the buffers of a model away when it predicts
            self._estimate_statistics(epoch)
            yield
        finally:
            assign(self.model, raw)

    def _estimate_statistics(self, epoch: int) -> None:
        """Plain averages of the batch means and variances over a few training batches, always the same ones.

        Once training is on clean images, they are clean too.
        """
        nested = self.model._flatten_layers()  # no public name for the layers of layers
        layers = [layer for layer in nested if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
        momenta = [layer.momentum for layer in layers]
        if not layers:
            return
        wanted = math.ceil(STATISTICS_IMAGES / self.stream.batch_size)
        steps = min(wanted, max(1, self.params["steps"] // 4))  # short epochs can spare only some of their time
        first = self.stream.clean_from if epoch * self.params["steps"] >= self.stream.clean_from else 0
        inputs = np.concatenate([self.stream.inputs(int(first) + step) for step in range(steps)])
        for number, start in enumerate(range(0, len(inputs), STATISTICS_BATCH)):
            for layer in layers:
                layer.momentum = number / (number + 1)
            self.model(inputs[start : start + STATISTICS_BATCH], training=True)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def plateau_callbacks(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Keras's own early stopping and learning-rate reduction, where the recipe asks for them."""
    callbacks: list[keras.callbacks.Callback] = []
    if recipe.reduce_on_plateau.patience:
        plateau = recipe.reduce_on_plateau
        reduce = keras.callbacks.ReduceLROnPlateau(
            monitor=plateau.monitor, factor=plateau.factor, patience=plateau.patience, min_lr=plateau.minimum
        )
        reduce.state_names = ("best", "wait", "cooldown_counter")
        callbacks.append(reduce)
    if recipe.early_stopping.patience:
        stop = keras.callbacks.EarlyStopping(
            monitor=recipe.early_stopping.monitor, patience=recipe.early_stopping.patience
        )
        stop.state_names = ("best", "wait", "best_epoch")
        callbacks.append(stop)
    return callbacks


class Interruption(keras.callbacks.Callback):
    """Ctrl-C while a model is fitted, raised after the step that it falls in. A second one acts at once.

    An exception out of the signal itself may come up in code that swallows it, as a thread's or a destructor's does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def __enter__(self) -> "Interruption":
        self.before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.before)

    def _note(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self.before)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.asked:
            raise KeyboardInterrupt


class Checkpoint(keras.callbacks.Callback):
    """Saves, after each epoch, all that the next one depends on; watches the loss; reports progress.

    Args:
        run: where to save.
        watched: the callbacks before this one; each names, in `state_names`, the attributes that it remembers by.
        progress: told of each step and epoch.
    """

    def __init__(self, run: RunFolder, watched: list[Any], progress: TrainingProgress) -> None:
        super().__init__()
        self.run, self.watched, self.progress = run, watched, progress
        self.history: list[dict[str, float]] = []
        self.states: list[dict[str, Any]] = []
        self.stopped = False
        self.started = 0.0

    @property
    def status(self) -> str:
        """How the training ended."""
        return "stopped early" if self.stopped else "completed"

    def restore(self, model: keras.Model) -> int:
        """Loads the last checkpoint, if there is one. Returns the number of epochs that are done."""
        if not self.run.state_file.is_file():
            return 0
        arrays = read_arrays(self.run.state_file)
        stored = [arrays[name].shape for name in arrays if name.startswith("model/")]
        if stored != [tuple(variable.shape) for variable in model.variables]:
            raise RunError(
                f"{self.run.path} was begun by another version of ferlab, whose model has another form. Choose another "
                "--out."
            )
        assign(model, arrays)
        for index, variable in enumerate(model.optimizer.variables):
            variable.assign(arrays[f"optimizer/{index}"])
        meta = json.loads(str(arrays["meta"]))
        self.history, self.states, self.stopped = meta["history"], meta["states"], meta["stopped"]
        self.run.write_history(self.history)
        return len(self.history)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keras's callbacks forget everything when a training begins: this one comes last, and reminds them."""
        for callback, state in zip(self.watched, self.states, strict=False):
            for name, value in state.items():
                setattr(callback, name, value)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()
        self.progress.begin_epoch(epoch, self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        stop_if_diverged("loss", float(logs["loss"]), len(self.history))
        self.progress.step(float(logs["accuracy"]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        entry = {"epoch": epoch + 1} | {name: float(value) for name, value in logs.items()}
        entry["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        entry["seconds"] = round(time.perf_counter() - self.started, 3)
        self.history.append(entry)
        self.stopped = bool(self.model.stop_training)
        meta = {
            "history": self.history,
            "states": [{name: getattr(item, name) for name in item.state_names} for item in self.watched],
            "stopped": self.stopped,
        }
        optimizer = {f"optimizer/{index}": _copy(item) for index, item in enumerate(self.model.optimizer.variables)}
        meta_array = np.array(json.dumps(meta, default=float))
        write_arrays(self.run.state_file, variables(self.model) | optimizer | {"meta": meta_array})
        self.run.write_history(self.history)
        self.progress.end_epoch(entry)


def stop_if_diverged(name: str, loss: float, epochs_done: int) -> None:
    """Ends a training that can only go on with numbers that are none.

    Raises:
        TrainingError: if the loss is not finite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"The {name} is {loss} in epoch {epochs_done + 1}: the training diverged. The checkpoint of epoch "
            f"{epochs_done} is kept. Try a lower --set learning_rate=."
        )


def variables(model: keras.Model) -> dict[str, np.ndarray]:
    """All variables of a model, seed generators included, by `model/<index>`."""
    return {f"model/{index}": _copy(variable) for index, variable in enumerate(model.variables)}


def _copy(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable), copy=True)


def assign(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """The inverse of `variables`."""
    for index, variable in enumerate(model.variables):
        variable.assign(arrays[f"model/{index}"])
