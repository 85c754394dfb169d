"""The network of another run that a training starts from, instead of random weights."""

from typing import TYPE_CHECKING

from ferlab.data import Dataset, Split
from ferlab.errors import ProtocolError, RecipeError, RunError
from ferlab.evaluation.trained_model import TrainedModel, open_model
from ferlab.models import build_trainable, model_options, set_initial_weights
from ferlab.protocol import check_origin, check_same_split
from ferlab.recipes import Recipe

if TYPE_CHECKING:
    import keras


def open_initial_network(recipe: Recipe, dataset: Dataset) -> TrainedModel | None:
    """Open the network that a recipe starts from, and check that it fits.

    Args:
        recipe: the recipe; its `start` is a run folder, or empty.
        dataset: the data of the new training.

    Raises:
        DataError: if both were trained on the same source, whose random split has changed since.
        FerlabError: if there is no such folder.
        ProtocolError: if the network was trained on the images that the new one is selected or tested on, or was
            selected on the test split.
        RunError: if the folder does not contain a trained network of the same architecture, options and classes.
    """
    if not recipe.start:
        return None
    network = open_model(recipe.start)
    if network.run is None:
        raise RunError(f"{recipe.start} is not a run folder. Pass the folder that ferlab train wrote.")
    other, origin = network.run.recipe(), network.provenance
    if (other.architecture, dict(other.model)) != (recipe.architecture, dict(recipe.model)):
        raise RunError(
            f"{recipe.start} holds the architecture {_described(other)}, and the recipe has {_described(recipe)}. "
            "Start from a run with the same architecture and model options."
        )
    if origin.class_names != dataset.class_names:
        raise RunError(
            f"{recipe.start} was trained for the classes {', '.join(origin.class_names or ())}, and {dataset.source} "
            f"has {', '.join(dataset.class_names)}. To change the classes, use ferlab finetune."
        )
    check_origin("initial network", network.path, origin.selected_on or (), origin.fingerprints, dataset)
    check_same_split(network.path, network.run.dataset(), dataset, Split.VALIDATION, Split.TEST)
    for split in (Split.VALIDATION, Split.TEST):
        if origin.fingerprints["train"] == dataset.fingerprints.get(split.label):
            raise ProtocolError(
                f"The initial network {recipe.start} was trained on the {split.label} images of {dataset.source}. "
                "Start from a run that was trained on other images."
            )
    return network


def _described(recipe: Recipe) -> str:
    """Name an architecture with its options."""
    options = ", ".join(f"model.{name}={value}" for name, value in recipe.model.items())
    return f"{recipe.architecture} ({options})" if options else recipe.architecture


def build_with_weights(recipe: Recipe, num_classes: int, network: TrainedModel) -> "keras.Model":
    """Build the network of a recipe with the weights of a trained one, and without a download.

    Raises:
        RecipeError: if their layers differ.
    """
    options = dict(recipe.model) | ({"weights": "none"} if "weights" in model_options(recipe.architecture) else {})
    model = build_trainable(recipe.architecture, num_classes, **options)
    try:
        set_initial_weights(model, network.keras_model)
    except ValueError:
        raise RecipeError(
            f"The layers of {network.path} are not those that {_described(recipe)} has now: its code has changed. "
            "Train the network again."
        ) from None
    return model
