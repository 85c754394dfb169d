"""Distillation: trained networks whose probabilities a student learns in addition to the labels.

Teachers see the same augmented and mixed images as the student (https://arxiv.org/abs/2106.05237).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ferlab.backend import has_gpu
from ferlab.data import Dataset
from ferlab.errors import RecipeError, RunError
from ferlab.evaluation.metrics import softmax
from ferlab.evaluation.trained_model import TrainedModel, open_model
from ferlab.models import build_without_pretrained_weights
from ferlab.protocol import check_origin
from ferlab.recipes import Recipe
from ferlab.runs import RunFolder

Teacher = Callable[[np.ndarray], np.ndarray]  # images (B, 48, 48, 1) float32, 0..255, to probabilities (B, K)


def open_teachers(recipe: Recipe, dataset: Dataset) -> tuple[TrainedModel, ...]:
    """Open the teachers of a recipe, and check that the protocol allows them.

    Args:
        recipe: the recipe; its `teachers` are run folders or artifacts.
        dataset: the data of the student. Teachers must have been trained on the same training images.

    Raises:
        ArtifactError: if a file is not a valid artifact.
        FerlabError: if there is no such file or folder.
        ProtocolError: if a teacher was selected on the test split.
        RecipeError: if there is distillation without teachers, or there are teachers without distillation, or views for
            teachers that do not exist.
        RunError: if a folder does not contain a trained model, or a teacher was trained on different images or classes,
            or its training data is unknown.
    """
    name = recipe.name or recipe.architecture
    if recipe.distillation and not recipe.teachers:
        raise RecipeError(
            f"{name} learns from teachers, but has none. Train them first, and pass their run folders with --set "
            "teachers=DIR,DIR."
        )
    if recipe.teachers and not recipe.distillation:
        raise RecipeError(
            f"{name} would learn nothing from its teachers, because distillation is 0. Use --set distillation=0.5, "
            "for example, or remove the teachers."
        )
    if recipe.teacher_views and not recipe.teachers:
        raise RecipeError(
            f"{name} would see only {recipe.teacher_views} views of each image, and has no teachers to predict them. "
            "Use --set teacher_views=0, or pass teachers with --set teachers=DIR,DIR."
        )
    # On a CPU, the student keeps all cores busy, so more threads would only wait.
    threads = 1 if recipe.teachers and not has_gpu() else 0
    teachers = tuple(open_model(path, threads=threads) for path in recipe.teachers)
    for teacher in teachers:
        _check_teacher(teacher, dataset)
    return teachers


def _check_teacher(teacher: TrainedModel, dataset: Dataset) -> None:
    origin = teacher.provenance
    if teacher.run is None and teacher.artifact is None:
        raise RunError(
            f"The teacher {teacher.name} does not say what it was trained on. Pass its run folder or an exported "
            "artifact."
        )
    same_images = origin.fingerprints.get("train") == dataset.fingerprints["train"]
    if origin.class_names != dataset.class_names or not same_images:
        raise RunError(f"The teacher {teacher.name} was trained on different images or classes than {dataset.source}.")
    check_origin("teacher", Path(teacher.name), origin.selected_on or (), origin.fingerprints, dataset)


def mean_teacher(teachers: Sequence[TrainedModel]) -> Teacher:
    """Combine teachers into one that predicts the mean of their probabilities.

    Args:
        teachers: as `open_teachers` returns them. Networks of run folders use the current dtype policy.

    Returns:
        A function from images `(B, 48, 48, 1)` float32, 0..255, to probabilities `(B, K)` float32.
    """
    networks = [_network(teacher) for teacher in teachers]

    def teach(images: np.ndarray) -> np.ndarray:
        return np.stack([network(images) for network in networks]).mean(axis=0, dtype=np.float32)

    return teach


def _network(teacher: TrainedModel) -> Teacher:
    if teacher.artifact:
        return teacher.artifact.forward
    assert teacher.run is not None
    return _rebuilt(teacher.run, teacher)


def _rebuilt(run: RunFolder, teacher: TrainedModel) -> Teacher:
    """Rebuild the network of a run under the current dtype policy."""
    recipe = run.recipe()
    network = build_without_pretrained_weights(recipe.architecture, len(run.dataset().class_names), **recipe.model)
    try:
        network.set_weights(teacher.keras_model.get_weights())
    except ValueError:
        raise RunError(
            f"The teacher {run.path} was trained by another version of ferlab, whose {recipe.architecture} has a "
            "different structure. Export it with that version, and pass the exported file instead."
        ) from None
    return lambda images: softmax(network.predict_on_batch(images))
