"""Optimizers: the optimizer of a recipe, with its schedule, weight decay and moving average of the weights."""

from typing import TYPE_CHECKING, Any

from ferlab.recipes import Recipe

if TYPE_CHECKING:
    import keras

AVERAGED_SHARE = 0.1  # share of the steps of a training that a moving average of the weights spans at most


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> "keras.Optimizer":
    """Make the optimizer of a recipe."""
    from keras import optimizers

    from ferlab.training.fused import make_adam, make_sgd

    settings: dict[str, Any] = {
        "learning_rate": _learning_rate(recipe, steps_per_epoch),
        "weight_decay": recipe.weight_decay or None,
    }
    if recipe.ema:
        longest = 1 - 1 / max(1, AVERAGED_SHARE * recipe.epochs * steps_per_epoch)
        settings |= {"use_ema": True, "ema_momentum": min(recipe.ema, longest)}
    kinds = {"adam": make_adam, "sgd": make_sgd, "rmsprop": optimizers.RMSprop}
    optimizer = kinds[recipe.optimizer](**settings)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _learning_rate(recipe: Recipe, steps_per_epoch: int) -> "float | keras.optimizers.schedules.LearningRateSchedule":
    from keras import optimizers

    if recipe.schedule == "constant":
        return recipe.learning_rate
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    return optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else recipe.learning_rate,
        decay_steps=max(1, recipe.epochs * steps_per_epoch - warmup),
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
