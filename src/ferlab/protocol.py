"""Checks of the protocol: nothing selects, stops or calibrates on the images that a model is tested on.

Only the `study` recipes select on the whole `test/` folder, as the original notebooks did. `selected_on` says so in
every result.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ferlab.data import Dataset, Split
from ferlab.data.exclude import notes_mention_exclusion
from ferlab.data.splits import SPLIT_OFF_NOTE, divided_fingerprint
from ferlab.errors import DataError, ProtocolError
from ferlab.recipes import Recipe
from ferlab.results import DatasetSummary


def check_recipe(recipe: Recipe) -> None:
    """Reject a recipe that would select its best epoch on the test split.

    Raises:
        ProtocolError: if it would, and is not a recipe of the original study.
    """
    if recipe.selection != "validation" and recipe.group != "study":
        raise ProtocolError(
            f"{recipe.name or recipe.architecture}: selection={recipe.selection} would select the best epoch on the "
            "test split, and the test accuracy would say nothing about new images. Only the study's own recipes do "
            "that, to show its effect. Leave selection at 'validation'."
        )


def check_trainable(dataset: Dataset) -> None:
    """Reject a dataset that no model can learn from, or whose scores would be meaningless.

    Raises:
        DataError: if there are no training images, if all have the same label, or if a class of another split has no
            training images.
    """
    dataset.require(Split.TRAIN)
    counts = dataset.take(Split.TRAIN).class_counts()
    present = [name for name, count in counts.items() if count]
    if len(present) < 2:
        raise DataError(f"{dataset.source}: all training images are '{present[0]}'. A model needs two classes or more.")
    for split in (Split.VALIDATION, Split.TEST):
        for name, count in dataset.take(split).class_counts().items():
            if count and not counts[name]:
                raise DataError(
                    f"{dataset.source}: {count:,} {split.label} images are '{name}', but no training image is. Add "
                    "training images of that class, or remove it."
                )


def selection_splits(recipe: Recipe, dataset: Dataset) -> tuple[Split, ...]:
    """Find the splits that a recipe selects its best epoch on.

    Raises:
        ProtocolError: if the dataset has none of them.
    """
    check_recipe(recipe)
    wanted = (Split.VALIDATION, Split.TEST) if recipe.selection == "test_folder" else (Split.VALIDATION,)
    splits = tuple(split for split in wanted if dataset.has(split))
    if not splits:
        raise ProtocolError(
            f"{dataset.source} has no validation images to select the best epoch on. If it were selected on the "
            "test split, the test accuracy would say nothing about new images. Pass data with a validation split "
            "(PublicTest)."
        )
    return splits


def check_origin(
    kind: str, path: Path, selected_on: Sequence[str], fingerprints: Mapping[str, str | None], dataset: Dataset
) -> None:
    """Reject a network that was selected on the test split as a part of a new model.

    Knowledge of the test split would leak into the new model, and no result would show it.

    Args:
        kind: `teacher`, `member` or `initial network`, for the message.
        path: path of the model.
        selected_on: names of the splits that it was selected on.
        fingerprints: fingerprints of its training and selection splits, by name.
        dataset: the dataset on whose test split the new model will be tested.

    Raises:
        ProtocolError: if it was selected on its own test split, or on the test split of `dataset` under any name.
    """
    used = [fingerprints.get(split, "") for split in selected_on]
    if "test" in selected_on or dataset.fingerprints.get("test") in used:
        raise ProtocolError(
            f"The {kind} {path} was selected on {' and '.join(selected_on)}, so it has seen the images of the test "
            "split. Use a run that was selected on the validation split only."
        )


def check_same_split(path: Path, trained_on: DatasetSummary, dataset: Dataset, *splits: Split) -> None:
    """Reject a random split that differs from the one a model was trained with: it has learned some of its images.

    One more image changes the whole random split. Images are excluded after the split, so exclusions do not change it.

    Args:
        path: path of the model.
        trained_on: the data that it was trained on.
        dataset: the data whose splits would be scored or selected on.
        splits: those of its splits.

    Raises:
        DataError: if both were split at random from the same source, and differ.
    """
    same_source = trained_on.source == Path(dataset.source).name
    for split in splits:
        if same_source and _is_divided_otherwise(trained_on, dataset, split):
            raise DataError(
                f"{dataset.source} has changed, or is read with other options, since {path} was trained. Its random "
                f"split differs, so {path} was trained on some of its {split.label} images. Restore the data, or put "
                "the images into the folders train, val and test."
            )


def _is_divided_otherwise(trained_on: DatasetSummary, dataset: Dataset, split: Split) -> bool:
    """Return whether a split was chosen at random in both, from different images."""
    random = [note for note in dataset.notes if SPLIT_OFF_NOTE in note and split.label in note.partition(":")[0]]
    if not random or not any(SPLIT_OFF_NOTE in note for note in trained_on.notes):
        return False
    divided = divided_fingerprint(trained_on.notes), divided_fingerprint(dataset.notes)
    if None not in divided:
        return divided[0] != divided[1]
    excluded = any(notes_mention_exclusion(" ".join(notes)) for notes in (trained_on.notes, dataset.notes))
    return not excluded and trained_on.fingerprints.get(split.label) != dataset.fingerprints.get(split.label)


def calibration_images(dataset: Dataset, trained_on: DatasetSummary | None) -> Dataset:
    """Return the images on which a temperature may be fitted: the validation split.

    Args:
        dataset: any dataset.
        trained_on: the data that the model was trained on, if known.

    Raises:
        ProtocolError: if there is no validation split, or it is the test split of the run.
    """
    if not dataset.has(Split.VALIDATION):
        raise ProtocolError(
            f"{dataset.source} has no validation images to calibrate probabilities on. Calibrated on the test split, "
            "they would look better there than on new images. Pass data with a validation split (PublicTest)."
        )
    validation = dataset.take(Split.VALIDATION)
    test = trained_on.fingerprints.get("test") if trained_on else None
    if test and validation.fingerprints["validation"] == test:
        raise ProtocolError(
            f"The validation images of {dataset.source} are the test images of the run. Calibrated on them, "
            "probabilities would look better there than on new images. Pass the data that the run was trained on."
        )
    return validation
