"""Keras callbacks: selection of the best epoch, early stopping, and Ctrl-C."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ferlab.array_files import write_arrays
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.models import predict_logits
from ferlab.recipes import Recipe
from ferlab.recipes.augmentation import augment
from ferlab.runs import RunFolder
from ferlab.training.batches import VALIDATION, BatchStream
from ferlab.training.checkpoint import assign_variables, read_variables, stop_if_diverged

STATISTICS_IMAGES = 1024  # training images from which the batch statistics of averaged weights are estimated
STATISTICS_BATCH = 128


class Selection(keras.callbacks.Callback):
    """Evaluate the model on the selection split after each epoch, and keep the weights of the best epoch.

    With a moving average of the weights, the averaged weights are evaluated and kept, with batch statistics estimated
    for them on training batches (https://arxiv.org/abs/1803.05407, section 3.2). Training continues with the raw
    weights.

    Args:
        run: the run folder, where the best weights are stored.
        recipe: recipe of the run.
        inputs: selection images `(N, 48, 48)` uint8, or features `(N, F)`.
        labels: `(N,)`.
        stream: the training batches.
        seed: seed of the run.
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
        self.run, self.recipe, self.stream, self.seed = run, recipe, stream, seed
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
                write_arrays(self.run.best_file(epoch + 1), read_variables(self.model))

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
        raw = read_variables(self.model)
        averages = self.model.optimizer._model_variables_moving_average  # no public API
        try:
            for variable, average in zip(self.model.trainable_variables, averages, strict=True):
                variable.assign(keras.ops.copy(average))  # on JAX, prediction donates the buffers of a model
            self._estimate_statistics(epoch)
            yield
        finally:
            assign_variables(self.model, raw)

    def _estimate_statistics(self, epoch: int) -> None:
        """Average batch means and variances over a few training batches, always the same ones.

        During the clean epochs, these batches are clean as well.
        """
        nested = self.model._flatten_layers()  # no public API for nested layers
        layers = [layer for layer in nested if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
        momenta = [layer.momentum for layer in layers]
        if not layers:
            return
        wanted = math.ceil(STATISTICS_IMAGES / self.stream.batch_size)
        steps = min(wanted, max(1, self.params["steps"] // 4))  # at most a quarter of a short epoch
        first = self.stream.clean_from if epoch * self.params["steps"] >= self.stream.clean_from else 0
        inputs = np.concatenate([self.stream.inputs(int(first) + step) for step in range(steps)])
        for number, start in enumerate(range(0, len(inputs), STATISTICS_BATCH)):
            for layer in layers:
                layer.momentum = number / (number + 1)
            self.model(inputs[start : start + STATISTICS_BATCH], training=True)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def plateau_callbacks(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Make the callbacks for early stopping and learning-rate reduction that the recipe enables."""
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
    """Raise KeyboardInterrupt after the step during which Ctrl-C was pressed; a second Ctrl-C acts at once.

    Raised inside the signal handler, the exception might be swallowed by whatever code is running, such as a
    destructor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requested = False

    def __enter__(self) -> "Interruption":
        self.before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.before)

    def _note(self, number: int, frame: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self.before)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.requested:
            raise KeyboardInterrupt
