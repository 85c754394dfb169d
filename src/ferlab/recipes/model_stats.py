"""What recipes cost: parameters, multiply-adds, time and disk, known before anything is trained.

The counts of every recipe are kept in `model_stats.json`, so that listing them needs no Keras; a test builds the
models and
holds the file true (`make docs` writes it anew).
"""

import json
import math
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ferlab.recipes import Recipe, get_recipe

FILE = Path(__file__).with_name("model_stats.json")

# Fitted to trainings on two cores of an AMD EPYC 9004 (AVX-512, mixed_bfloat16), which multiplies float32 matrices at
# REFERENCE_RATE: newmodel at 190 and MobileNetV2 (48 pixels) at 310 images a second in batches of 64, ResNet50 and
# VGG16 at 60 in batches of 16. An estimate, good to a factor of two.
SECONDS_PER_MULTIPLY_ADD = 2.9e-12
SECONDS_PER_ACTIVATION = 0.88e-9
SECONDS_PER_UPDATE = 6.8e-9  # of one parameter in one step
REFERENCE_RATE = 2.1e11  # floating-point operations a second
START_SECONDS = 0.2  # per layer: building and tracing the graph, and what follows a training
BACKWARD = 3  # a training step costs about three forward passes


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The size of a recipe's model.

    Args:
        parameters: all of them.
        trainable_parameters: those that training changes.
        multiply_adds: of one image through the model, forward.
        activations: numbers that the layers put out for one image.
        layers: number of layers.
    """

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    activations: int
    layers: int


@cache
def known_costs() -> dict[str, Costs]:
    """The costs of all recipes in the package, for seven classes."""
    return {name: Costs(**values) for name, values in json.loads(FILE.read_text()).items()}


def costs_of(recipe: Recipe) -> Costs:
    """The costs of a recipe: looked up, or counted on the model where it is not as the package has it."""
    known = known_costs().get(recipe.name)
    if known and dict(recipe.model) == dict(get_recipe(recipe.name).model):
        return known
    return count_costs(recipe)


def count_costs(recipe: Recipe) -> Costs:
    """Builds a recipe's model, without weights, and counts."""
    from ferlab.backend import start_keras
    from ferlab.models import build_model, count_multiply_adds, count_parameters, model_options

    start_keras()
    options = dict(recipe.model)
    if "weights" in model_options(recipe.architecture):
        options["weights"] = "none"
    model = build_model(recipe.architecture, **options)
    parameters, trainable = count_parameters(model)
    return Costs(
        parameters=parameters,
        trainable_parameters=trainable,
        multiply_adds=count_multiply_adds(model),
        activations=sum(math.prod(layer.output.shape[1:]) for layer in model.layers),
        layers=len(model.layers),
    )


def image_passes(recipe: Recipe, num_images: int) -> int:
    """How many training images a run looks at, repetitions counted."""
    return recipe.epochs * (recipe.steps_per_epoch * recipe.batch_size or num_images)


def estimate_seconds(recipe: Recipe, num_images: int) -> float:
    """About how long a run takes on this machine."""
    costs = costs_of(recipe)
    forward = costs.multiply_adds * SECONDS_PER_MULTIPLY_ADD + costs.activations * SECONDS_PER_ACTIVATION
    passes = image_passes(recipe, num_images)
    frozen = recipe.model.get("trainable_backbone") is False
    if frozen and not recipe.augmentation.active and not recipe.mixup:  # the backbone's features are computed once
        work = forward * min(passes, num_images)
    else:
        work = forward * passes * (1 if frozen else BACKWARD)
    work += passes / recipe.batch_size * costs.trainable_parameters * SECONDS_PER_UPDATE
    return (work + costs.layers * START_SECONDS) * REFERENCE_RATE / machine_rate()


def estimate_disk(recipe: Recipe) -> int:
    """Bytes of a run folder: the model, the best weights, and a checkpoint with the optimizer's state."""
    costs = costs_of(recipe)
    optimizer_slots = {"adam": 2, "sgd": 1, "rmsprop": 1}[recipe.optimizer] + bool(recipe.ema)
    fitted = costs.trainable_parameters if recipe.model.get("trainable_backbone") is False else costs.parameters
    return 4 * (costs.parameters + 2 * fitted + optimizer_slots * costs.trainable_parameters)


@cache
def machine_rate() -> float:
    """Floating-point operations a second of a float32 matrix product, measured for a tenth of a second."""
    side = 1024
    matrix = np.ones((side, side), np.float32)
    matrix @ matrix
    best, until = math.inf, time.perf_counter() + 0.1
    while time.perf_counter() < until:
        started = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best
