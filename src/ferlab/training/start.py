"""Start a training from the network of another run instead of random weights."""

from pathlib import Path
from typing import TYPE_CHECKING

from ferlab.data import Dataset
from ferlab.errors import RecipeError, RunError
from ferlab.evaluation.trained_model import TrainedModel, open_model
from ferlab.models import set_initial_weights
from ferlab.protocol import check_origin
from ferlab.recipes import Recipe
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras


def open_start(recipe: Recipe, dataset: Dataset) -> TrainedModel | None:
    """Open the network that a recipe starts from, and check that it fits.

    Args:
        recipe: the recipe; its `start` is a run folder, or empty.
        dataset: the data of the new training.

    Raises:
        FerlabError: if there is no such folder.
        ProtocolError: if the network was selected on the test split.
        RunError: if the folder does not contain a trained network of the same architecture, options and classes.
    """
    if not recipe.start:
        return None
    run = RunFolder(Path(recipe.start))
    run.trained_result()
    other = run.recipe()
    if (other.architecture, dict(other.model)) != (recipe.architecture, dict(recipe.model)):
        raise RunError(
            f"{run.path} holds the architecture {described(other)}, and the recipe has {described(recipe)}. Start from "
            "a run with the same architecture and model options."
        )
    if run.dataset().class_names != dataset.class_names:
        raise RunError(
            f"{run.path} was trained for the classes {', '.join(run.dataset().class_names)}, and {dataset.source} has "
            f"{', '.join(dataset.class_names)}. To change the classes, use ferlab finetune."
        )
    model = open_model(run.path)
    origin = model.provenance
    check_origin("start", run.path, origin.selected_on or (), origin.fingerprints, dataset)
    return model


def described(recipe: Recipe) -> str:
    """Name an architecture with its options."""
    options = ", ".join(f"model.{name}={value}" for name, value in recipe.model.items())
    return f"{recipe.architecture} ({options})" if options else recipe.architecture


def start_from(model: "keras.Model", start: TrainedModel) -> "keras.Model":
    """Give a new network the weights of a trained one.

    Raises:
        RecipeError: if their layers differ.
    """
    try:
        set_initial_weights(model, start.keras_model)
    except ValueError:
        raise RecipeError(
            f"{start.path} was trained by another version of ferlab, in which the architecture has a different "
            "structure. Train it again with this version."
        ) from None
    return model
