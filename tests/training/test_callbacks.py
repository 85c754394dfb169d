"""The selection of the best epoch, and the callbacks of a recipe."""

import math
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split
from ferlab.recipes import Recipe, get_recipe
from ferlab.runs import RunFolder, read_arrays
from ferlab.training.batches import BatchStream
from ferlab.training.callbacks import Interruption, Selection, plateau_callbacks
from ferlab.training.optimizers import make_optimizer


@pytest.mark.slow
def test_averaged_weights_get_their_own_batch_statistics_even_in_nested_models(small: Dataset, tmp_path: Path) -> None:
    """They are estimated on training batches; during the clean epochs, on clean ones."""
    images = keras.Input((48, 48, 1))
    inner = keras.Model(images, keras.layers.BatchNormalization()(images))
    outer = keras.Model(images, keras.layers.Dense(7)(keras.layers.Flatten()(inner(images))))
    recipe, training = get_recipe("fernet_s"), small.take(Split.TRAIN)
    outer.compile(make_optimizer(recipe, steps_per_epoch=100))
    outer.optimizer.build(outer.trainable_variables)
    weights = np.ones(len(training), np.float32)
    targets = np.eye(7, dtype=np.float32)[training.labels]
    settings = {"batch_size": 64, "augmentation": recipe.augmentation, "seed": 0, "clean_from": 8}
    stream = BatchStream(training.images, targets, weights, **settings)
    selection = Selection(RunFolder(tmp_path), recipe, training.images[:8], training.labels[:8], stream, seed=0)
    selection.set_model(outer)
    selection.set_params({"steps": 8})
    position = next(index for index, one in enumerate(outer.variables) if one.path.endswith("moving_mean"))
    for epoch, first_step in ((0, 0), (1, 8)):
        selection.best = -math.inf
        selection.on_epoch_end(epoch, {})
        expected = np.concatenate([stream.inputs(first_step + step) for step in range(2)]).mean()
        stored = read_arrays(RunFolder(tmp_path).best_file(epoch + 1))
        np.testing.assert_allclose(stored[f"model/{position}"], expected, rtol=1e-3)


def test_a_recipe_has_only_the_callbacks_that_it_asks_for() -> None:
    plain = Recipe(architecture="newmodel")
    assert plateau_callbacks(plain.changed({"early_stopping.patience": 0, "reduce_on_plateau.patience": 0})) == []
    both = plateau_callbacks(plain.changed({"early_stopping.patience": 4, "reduce_on_plateau.patience": 2}))
    assert [(type(one).__name__, one.patience) for one in both] == [("ReduceLROnPlateau", 2), ("EarlyStopping", 4)]


def test_ctrl_c_takes_effect_after_the_current_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        interruption.on_train_batch_end(0)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.on_train_batch_end(1)
    assert signal.getsignal(signal.SIGINT) is before
