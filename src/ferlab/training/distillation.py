"""Teachers: trained networks whose probabilities another network learns besides the labels.

They see the very images that the student sees, changed and mixed alike (https://arxiv.org/abs/2106.05237).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ferlab.backend import has_gpu
from ferlab.data import Dataset
from ferlab.errors import RecipeError, RunError
from ferlab.evaluation.metrics import log_softmax
from ferlab.models import build_model, load_model
from ferlab.predict.artifact import SUFFIXES, Artifact
from ferlab.protocol import check_origin
from ferlab.recipes import Recipe
from ferlab.runs import RunFolder

Teacher = Callable[[np.ndarray], np.ndarray]  # images (B, 48, 48, 1) float32, 0..255, to probabilities (B, K)


def check_teachers(recipe: Recipe, dataset: Dataset) -> None:
    """Checks that the teachers of a recipe are there, and may teach.

    Args:
        recipe: its `teachers`: run folders, or files of `ferlab export` or `ferlab ensemble`.
        dataset: what the student is trained on: only what its training images taught may teach it.

    Raises:
        ArtifactError: if a file is none of those.
        ProtocolError: if one was selected on the test split.
        RecipeError: if the recipe distils and names none, or names some and does not distil.
        RunError: if a folder holds no trained model, or a teacher learned other training images or classes.
    """
    if recipe.distillation and not recipe.teachers:
        raise RecipeError(
            f"{recipe.name or recipe.architecture} learns from teachers, and none is named: train some first, and name "
            "their run folders by --set teachers=DIR,DIR."
        )
    if recipe.teachers and not recipe.distillation:
        raise RecipeError(
            f"{recipe.name or recipe.architecture} would learn nothing from its teachers: its distillation is 0. "
            "Set it, as by --set distillation=0.5, or name no teachers."
        )
    wanted = (dataset.class_names, dataset.summary()["train"]["fingerprint"])
    for path in recipe.teachers:
        class_names, fingerprints, selected_on = _file_origin(path) if path.endswith(SUFFIXES) else _run_origin(path)
        if (tuple(class_names), fingerprints.get("train")) != wanted:
            raise RunError(f"The teacher {path} learned other images or classes than those of {dataset.source}.")
        check_origin("teacher", Path(path), selected_on, fingerprints, dataset)


def _run_origin(path: str) -> tuple[list[str], dict[str, str], str]:
    run = RunFolder(Path(path))
    selected_on = run.trained_result()["selected_on"]
    return run.dataset()["class_names"], run.fingerprints(), selected_on


def _file_origin(path: str) -> tuple[tuple[str, ...], dict[str, str], str]:
    artifact = Artifact(path)
    return artifact.class_names, artifact.metadata["fingerprints"], artifact.metadata["protocol"].get("selected_on", "")


def load_teachers(paths: tuple[str, ...]) -> Teacher:
    """The mean answer of trained networks.

    Args:
        paths: as in `check_teachers`, and checked there.

    Returns:
        A function from images `(B, 48, 48, 1)` float32, 0..255, to probabilities `(B, K)` float32. Networks of run
        folders answer in the numeric policy in force.
    """
    threads = 0 if has_gpu() else 1  # a processor's cores are busy with the student: more threads would wait for them
    teachers = [
        Artifact(path, threads=threads).forward if path.endswith(SUFFIXES) else _network(RunFolder(Path(path)))
        for path in paths
    ]

    def teach(images: np.ndarray) -> np.ndarray:
        return np.stack([answer(images) for answer in teachers]).mean(axis=0, dtype=np.float32)

    return teach


def _network(run: RunFolder) -> Teacher:
    recipe = run.recipe()
    options = dict(recipe.model) | ({"weights": "none"} if "weights" in recipe.model else {})
    network = build_model(recipe.architecture, len(run.dataset()["class_names"]), **options)
    try:
        network.set_weights(load_model(run.model_file).get_weights())
    except ValueError:
        raise RunError(
            f"The teacher {run.path} was trained by another version of ferlab, whose {recipe.architecture} has another "
            "form. Export it by that version, and name the file instead."
        ) from None
    return lambda images: np.exp(log_softmax(network.predict_on_batch(images)))
