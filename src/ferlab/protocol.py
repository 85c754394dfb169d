"""The guard of the protocol: no command selects, stops or calibrates on the images that are to judge a model.

Only the `study` recipes select on the whole `test/` folder, as the notebooks did; `selected_on` says so in each result.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ferlab.data import Dataset, Split
from ferlab.errors import ProtocolError
from ferlab.recipes import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Refuses a recipe that would choose its best epoch on the test split.

    Raises:
        ProtocolError: if that is not one of the study's.
    """
    if recipe.selection != "validation" and recipe.group != "study":
        raise ProtocolError(
            f"{recipe.name or recipe.architecture}: selection={recipe.selection} would choose the best epoch, stop and "
            "lower the learning rate by the test split, whose score then says nothing about new images. Only the "
            "study's own recipes do that, to show what it costs. Leave selection at 'validation'."
        )


def selection_splits(recipe: Recipe, dataset: Dataset) -> list[Split]:
    """The splits that a recipe selects its best epoch on: those present of the ones that it may look at.

    Raises:
        ProtocolError: if none of them is there.
    """
    check_recipe(recipe)
    wanted = [Split.VALIDATION, Split.TEST] if recipe.selection == "test_folder" else [Split.VALIDATION]
    splits = [split for split in wanted if dataset.has(split)]
    if not splits:
        raise ProtocolError(
            f"{dataset.source} has no validation images, and the best epoch is chosen on those alone: chosen on the "
            "test split, its score there would say nothing about new images. Give data with a validation split "
            "(PublicTest)."
        )
    return splits


def check_origin(
    kind: str, path: Path, selected_on: str, fingerprints: Mapping[str, str | None], dataset: Dataset
) -> None:
    """Refuses a teacher, or a member of an ensemble, that the test split helped to choose.

    What comes of it would know of that split too, and no result would say so.

    Args:
        kind: what it is to be, for the message.
        path: where it lies.
        selected_on: the splits that it was selected on, as in `result.json`.
        fingerprints: of the splits that it was made with, by name.
        dataset: whose test split is to judge what comes of it.

    Raises:
        ProtocolError: if it was selected on its test split, or on that of `dataset`, whatever it calls it.
    """
    splits = selected_on.split("+")
    if "test" in splits or dataset.fingerprints.get("test") in [fingerprints.get(split, "") for split in splits]:
        raise ProtocolError(
            f"The {kind} {path} was selected on {selected_on}: it brings what it knows of the test split, which is to "
            "judge what comes of it. Take one of another recipe than the study's."
        )


def calibration_images(dataset: Dataset, trained: Mapping[str, Any] | None) -> Dataset:
    """The images on which a temperature may be fitted: the validation split.

    Args:
        dataset: at hand.
        trained: `splits` of the data that the model was trained on, as in `Dataset.summary`, where they are known.

    Raises:
        ProtocolError: if there is no validation split, or it is what the run calls its test split.
    """
    if not dataset.has(Split.VALIDATION):
        raise ProtocolError(
            f"{dataset.source} has no validation images, and probabilities are calibrated on those alone: fitted to "
            "the test split, a temperature would make its figures look better than those of new images. Give data with "
            "a validation split (PublicTest)."
        )
    validation, test = dataset.take(Split.VALIDATION), (trained or {}).get("test")
    if test and validation.fingerprints["validation"] == test["fingerprint"]:
        raise ProtocolError(
            f"The validation images of {dataset.source} are the run's own test images: fitted to them, a temperature "
            "would make their figures look better than those of new images. Give the data that the run was trained on."
        )
    return validation
