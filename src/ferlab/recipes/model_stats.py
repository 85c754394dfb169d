"""Model statistics of recipes: parameters, multiply-adds, image passes and disk space, known before training.

`model_stats.json` holds the counts of every recipe in the package, so that listing them does not need Keras. A test
compares the file with the models, and `make docs` regenerates it.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ferlab.recipes import Recipe, get_recipe

FILE = Path(__file__).with_name("model_stats.json")


@dataclass(frozen=True, kw_only=True)
class ModelStats:
    """The size of a model.

    Args:
        parameters: number of all parameters.
        trainable_parameters: number of trainable parameters.
        multiply_adds: multiply-adds of one forward pass for one image.
    """

    parameters: int
    trainable_parameters: int
    multiply_adds: int


@cache
def load_model_stats() -> dict[str, ModelStats]:
    """Load the model statistics of all recipes in the package, for seven classes."""
    return {name: ModelStats(**values) for name, values in json.loads(FILE.read_text()).items()}


def model_stats(recipe: Recipe) -> ModelStats:
    """Return the model statistics of a recipe, and build its model only if it differs from the one in the package."""
    known = load_model_stats().get(recipe.name)
    if known is None:
        return count_model_stats(recipe)
    original = get_recipe(recipe.name)
    same = (recipe.architecture, dict(recipe.model)) == (original.architecture, dict(original.model))
    return known if same else count_model_stats(recipe)


def count_model_stats(recipe: Recipe) -> ModelStats:
    """Build the model of a recipe, without pretrained weights, and count."""
    from ferlab.backend import start_keras
    from ferlab.models import build_without_pretrained_weights, count_multiply_adds, count_parameters

    start_keras()
    model = build_without_pretrained_weights(recipe.architecture, **recipe.model)
    parameters, trainable = count_parameters(model)
    return ModelStats(parameters=parameters, trainable_parameters=trainable, multiply_adds=count_multiply_adds(model))


def image_passes(recipe: Recipe, num_images: int) -> int:
    """Return how many training images a run processes, repetitions included."""
    return recipe.epochs * (recipe.steps_per_epoch * recipe.batch_size or num_images)


def estimate_disk_bytes(recipe: Recipe) -> int:
    """Estimate the size of a run folder: the model, the best weights, and a checkpoint with the optimizer's state."""
    stats = model_stats(recipe)
    optimizer_slots = {"adam": 2, "sgd": 1, "rmsprop": 1}[recipe.optimizer] + bool(recipe.ema)
    fitted = stats.trainable_parameters if recipe.model.get("trainable_backbone") is False else stats.parameters
    return 4 * (stats.parameters + 2 * fitted + optimizer_slots * stats.trainable_parameters)
