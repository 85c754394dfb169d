"""Optimizers: schedule, weight decay and moving average of the weights."""

import keras
import numpy as np
import pytest

from ferlab.recipes import Recipe
from ferlab.training.optimizers import make_optimizer

RECIPE = Recipe(architecture="newmodel", epochs=10, learning_rate=0.01, schedule="constant")


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("sgd", "SGD"), ("rmsprop", "RMSprop")])
def test_the_optimizer_is_that_of_the_recipe(name: str, kind: str) -> None:
    optimizer = make_optimizer(RECIPE.changed({"optimizer": name}), steps_per_epoch=5)
    assert isinstance(optimizer, getattr(keras.optimizers, kind))
    assert float(optimizer.learning_rate) == pytest.approx(0.01)


def test_the_cosine_schedule_warms_up_and_ends_at_zero() -> None:
    recipe = RECIPE.changed({"schedule": "cosine", "warmup_epochs": 2})
    rate = make_optimizer(recipe, steps_per_epoch=5)._learning_rate  # has no public name
    warmup = [0.0, 0.005, 0.01]
    cosine = [0.01 * (1 + np.cos(np.pi * share)) / 2 for share in (0.25, 0.5, 1)]
    assert [float(rate(step)) for step in (0, 5, 10)] == pytest.approx(warmup)
    assert [float(rate(step)) for step in (20, 30, 50)] == pytest.approx(cosine, abs=1e-8)


def test_without_warmup_the_cosine_schedule_starts_at_the_full_rate() -> None:
    recipe = RECIPE.changed({"schedule": "cosine", "warmup_epochs": 0})
    assert float(make_optimizer(recipe, steps_per_epoch=5)._learning_rate(0)) == pytest.approx(0.01)


def test_weight_decay_leaves_biases_and_normalization_out() -> None:
    layers = [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization()]
    variables = keras.Sequential(layers).trainable_variables
    optimizer = make_optimizer(RECIPE.changed({"weight_decay": 0.1}), steps_per_epoch=5)
    optimizer.build(variables)
    assert [one.name for one in variables if optimizer._use_weight_decay(one)] == ["kernel"]
    assert make_optimizer(RECIPE.changed({"weight_decay": 0}), steps_per_epoch=5).weight_decay is None


@pytest.mark.parametrize(("steps_per_epoch", "momentum"), [(5, 0.8), (1000, 0.99)])
def test_a_moving_average_reaches_back_a_tenth_of_the_training_at_most(steps_per_epoch: int, momentum: float) -> None:
    optimizer = make_optimizer(RECIPE.changed({"ema": 0.99}), steps_per_epoch)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, pytest.approx(momentum))
    assert not make_optimizer(RECIPE.changed({"ema": 0}), steps_per_epoch).use_ema
