"""Read the photos to fine-tune on, and divide them so that no copy and no person is in two parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.data import Dataset, Split, image_folder
from ferlab.data.archive import open_data
from ferlab.data.copies import group_copies
from ferlab.data.faces import Cropper
from ferlab.data.reading import BadItems
from ferlab.errors import DataError
from ferlab.files import exists, shown

FOLDS = 5  # one for the test, one for validation
SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """Face crops with their splits.

    Args:
        dataset: the face crops.
        groups: `(N,)` int64, equal for images that must be in one split: copies, mirrored ones included, and images of
            one person.
        num_persons: number of known persons.
    """

    dataset: Dataset
    groups: np.ndarray
    num_persons: int

    def test_groups(self) -> np.ndarray:
        """Return the groups of the test images."""
        return self.groups[self.dataset.splits == Split.TEST]


def read_photos(
    source: str | Path,
    *,
    crops: bool = False,
    skip_bad: bool = False,
    person_folders: bool = False,
    persons: Mapping[str, str] | None = None,
) -> Photos:
    """Read photos from class folders, crop the largest face in each, and divide them into three splits.

    Args:
        source: a folder or zip with `<class>/*.jpg`, or with these in `train`, `val` and `test`.
        crops: the images are face crops already.
        skip_bad: skip images that cannot be read or have no face.
        person_folders: the images are in `<class>/<person>/*.jpg`.
        persons: person by image name, for images whose person is known.

    Raises:
        DataError: if an image cannot be used and `skip_bad` is off, a class is too small to be divided, `persons` names
            other images, or the given split folders share copies or persons.
        DetectorError: if the face detector is not available.
    """
    path = Path(source).expanduser()
    if not exists(path):
        raise DataError(f"{shown(source)} does not exist. Pass a folder or zip of photos in class folders.")
    bad = BadItems(source=str(source), skip=skip_bad)
    with open_data(path) as opened:
        bad.report_all(opened.problems)
        cropper = Cropper.open(faces=not crops)
        dataset, layout = image_folder.read(opened, bad, cropper, person_folders=person_folders)
    if not len(dataset):
        raise DataError(f"{source}: no image could be used. Run without --skip-bad to see the first error.")
    known = _persons(dataset, person_folders, persons or {})
    groups = _join(group_copies(dataset.images, mirrored=True), known)
    wanted = [split for split in (Split.TEST, Split.VALIDATION) if split not in layout.splits]
    divided = _divide(dataset, groups, wanted)
    _check(divided, groups)
    return Photos(dataset=divided, groups=groups, num_persons=len(set(known) - {""}))


def _persons(dataset: Dataset, in_folders: bool, persons: Mapping[str, str]) -> list[str]:
    """Return the person in each image; empty if unknown."""
    names = dataset.names.astype(str).tolist()
    skipped = {item.name for item in dataset.skipped}
    if unknown := sorted(set(persons) - set(names) - skipped):
        raise DataError(f"{dataset.source} has no image '{unknown[0]}'. Its names look like '{names[0]}'.")
    return [persons.get(name, PurePosixPath(name).parent.name if in_folders else "") for name in names]


def _join(copies: np.ndarray, persons: Sequence[str]) -> np.ndarray:
    """Number the groups of images that are connected by copies or persons: `(N,)` int64."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    images = np.arange(len(copies))
    named = np.array([index for index, person in enumerate(persons) if person], np.int64)
    _, numbers = np.unique([persons[index] for index in named], return_inverse=True)
    nodes = np.concatenate([copies, copies.max() + 1 + numbers]) + len(images)
    edges = np.concatenate([images, named]), nodes
    size = int(nodes.max()) + 1
    _, components = connected_components(coo_array((np.ones(len(nodes)), edges), shape=(size, size)), directed=False)
    return np.unique(components[images], return_inverse=True)[1].astype(np.int64)


def _divide(dataset: Dataset, groups: np.ndarray, wanted: Sequence[Split]) -> Dataset:
    """Move a fifth of the training images into each wanted split, stratified by class, with groups kept together."""
    from sklearn.model_selection import StratifiedGroupKFold

    if not wanted:
        return dataset
    training = np.flatnonzero(dataset.splits == Split.TRAIN)
    for label, name in enumerate(dataset.class_names):
        number = len(np.unique(groups[training][dataset.labels[training] == label]))
        if number < FOLDS:
            raise DataError(
                f"{dataset.source}: class '{name}' has {number} different photos or persons, but at least {FOLDS} are "
                "needed to divide them. Add photos."
            )
    splits = dataset.splits.copy()
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    parts = folds.split(training, dataset.labels[training], groups[training])
    for split, (_, held_out) in zip(wanted, parts, strict=False):
        splits[training[held_out]] = split
    names = " and ".join(split.label for split in wanted)
    note = f"{names}: a fifth of the photos each, stratified by class, seed {SEED}, copies and persons kept together"
    return replace(dataset, splits=splits, notes=(*dataset.notes, note))


def _check(dataset: Dataset, groups: np.ndarray) -> None:
    """Reject images or persons that are in two splits, splits without photos, and classes that cannot be learned."""
    for split in Split:
        if not np.any(dataset.splits == split):
            raise DataError(f"{dataset.source}: no photo of the {split.label} folder can be used. Add photos to it.")
    for first, second in ((Split.TRAIN, Split.VALIDATION), (Split.TRAIN, Split.TEST), (Split.VALIDATION, Split.TEST)):
        shared = np.intersect1d(groups[dataset.splits == first], groups[dataset.splits == second])
        if len(shared):
            members = np.flatnonzero(groups == shared[0])
            names = ", ".join(str(dataset.names[index]) for index in members[:3])
            raise DataError(
                f"{dataset.source}: the {first.label} and {second.label} folders share copies or persons ({names}). "
                "Move them into one folder, or pass the class folders alone to have them divided."
            )
    for name, count in dataset.take(Split.TRAIN).class_counts().items():
        if not count:
            raise DataError(f"{dataset.source}: class '{name}' has no training photos. Add photos of other persons.")
