"""Your own images in class folders: a folder, or a zip that is read in place.

`train/<class>/*.jpg`, `val/<class>/*.jpg` and `test/<class>/*.jpg`, or some of these, or only `<class>/*.jpg`. Images
may have any size and be in color; each is converted to gray, cropped to the middle square and resized to 48x48.
Missing validation and test images are split off from training, see `ferlab.data.splits`.
"""

import io
import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.data import fer2013_csv, kaggle
from ferlab.data.archive import Source, read_members
from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.faces import Cropper
from ferlab.data.reading import BadItems
from ferlab.data.splits import SPLIT_FOLDERS, split_off
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError, ImageError
from ferlab.files import read_file
from ferlab.images.decode import decode_file
from ferlab.limits import MAX_IMAGE_BYTES

LAYOUTS = "train/<class>/*.jpg, val/<class>/*.jpg and test/<class>/*.jpg, or only <class>/*.jpg"


def matches(source: Source) -> bool:
    """Return whether `source` is a folder or zip that is neither FER2013 in the Kaggle layout nor a table."""
    return source.is_container and not fer2013_csv.matches(source) and not kaggle.matches(source)


def load(source: Source, bad: BadItems, cropper: Cropper | None = None) -> Dataset:
    """Load images from class folders. Images are named by their path in the folder or archive.

    Args:
        source: a folder or a zip.
        bad: collects or raises on the images that cannot be read.
        cropper: crops each image; None for the middle square.

    Raises:
        DataError: if there are fewer than two class folders, if only some classes have training images, or at the
            first bad image unless bad items are skipped.
    """
    dataset, layout = read(source, bad, cropper or Cropper.open(faces=False))
    return _with_missing_splits(dataset, layout)


def read(source: Source, bad: BadItems, cropper: Cropper, *, person_folders: bool = False) -> "tuple[Dataset, Layout]":
    """Read images from class folders, with the splits that their folders name; all others are training images.

    Args:
        source: a folder or a zip.
        bad: collects or raises on the images that cannot be read.
        cropper: crops each image.
        person_folders: the images are one folder deeper, in `<class>/<person>/*.jpg`.

    Raises:
        DataError: if there are fewer than two class folders, or at the first bad image unless bad items are skipped.
    """
    paths = [path.parent if person_folders else path for path, _ in source.images]
    layout = replace(_find_layout(paths, bad.source), depth=2 if person_folders else 1)
    for folder in source.empty_folders:
        if layout.holds_class(folder):
            bad.report(str(folder), "this class folder contains no images")
    class_names = layout.class_names
    dataset = read_members(source.images, bad, place=layout.place, decode=cropper.crop, class_names=class_names)
    return replace(dataset, notes=(*cropper.notes, *layout.notes)), layout


def read_face(path: Path, *, faces: bool = False) -> np.ndarray:
    """Read one image file and convert it to the input of a model.

    Args:
        path: an image file of any format that `ferlab.images.read_image` reads. An image of 48x48 pixels is used as it
            is.
        faces: crop the largest face; otherwise the middle square.

    Returns:
        The face crop, `(48, 48)` uint8, grayscale.

    Raises:
        DataError: if the file cannot be read or no face is found.
    """
    try:
        content = read_file(path, MAX_IMAGE_BYTES)
        search = faces and decode_file(io.BytesIO(content)).size != (IMAGE_SIZE, IMAGE_SIZE)
        return Cropper.open(faces=search).crop(content)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, ImageError) as error:
        hint = " Remove --faces to use the middle of the image." if "no face" in str(error) else ""
        raise DataError(f"{path}: {error}.{hint}") from None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Location of the class folders: in split folders or, if `splits` is empty, directly in `root`.

    Args:
        root: the folder that contains the split folders or the class folders.
        splits: the splits that have a folder.
        labels: the label of each class folder name; spellings of one name have the same label.
        class_names: class names in the order of the labels.
        depth: number of folders from an image up to its class folder, that one included.
    """

    root: PurePosixPath
    splits: frozenset[Split]
    labels: dict[str, int]
    class_names: tuple[str, ...]
    depth: int = 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Name the class folders with another spelling than their class, for the notes of the dataset."""
        if self.class_names == EMOTIONS:
            return ()
        others = sorted(name for name in self.labels if name not in self.class_names)
        return tuple(
            f"classes: {name!r} is {self.class_names[self.labels[name]]!r}, spelled differently" for name in others
        )

    def holds_class(self, folder: PurePosixPath) -> bool:
        """Return whether a folder is where class folders are expected."""
        return _holds_class(folder, self.root, bool(self.splits))

    def place(self, path: PurePosixPath) -> tuple[int, Split]:
        """Return label and split of an image.

        Raises:
            ValueError: with the reason, if the image is not in a class folder.
        """
        too_high = len(path.parts) <= self.depth
        class_folder = path.parent if too_high else path.parents[self.depth - 1]
        if too_high or not self.holds_class(class_folder):
            expected = self.root / ("train/<class>" if self.splits else "<class>") / ("<person>" * (self.depth - 1))
            raise ValueError(f"the image is not in a class folder such as {expected}/")
        return self.labels[class_folder.name], _split_of(class_folder) if self.splits else Split.TRAIN


def _find_layout(paths: Sequence[PurePosixPath], source: str) -> Layout:
    """Find the layout of most images. It may be wrapped in other folders.

    Raises:
        DataError: if there are fewer than two class folders, or two folders with names that differ in case only.
    """
    folders = sorted(path.parent for path in paths if path.parent.name)
    if not folders:
        raise DataError(f"{source}: no images found in class folders. Expected: {LAYOUTS}.")
    in_splits = [folder for folder in folders if folder.parent.name.lower() in SPLIT_FOLDERS]
    roots = [folder.parent.parent for folder in in_splits] or [folder.parent for folder in folders]
    root = Counter(roots).most_common(1)[0][0]
    class_folders = sorted({folder for folder in folders if _holds_class(folder, root, bool(in_splits))})
    splits = frozenset(map(_split_of, class_folders)) if in_splits else frozenset()
    labels, class_names = _classes(class_folders, source)
    return Layout(root=root, splits=splits, labels=labels, class_names=class_names)


def _holds_class(folder: PurePosixPath, root: PurePosixPath, in_splits: bool) -> bool:
    if not in_splits:
        return folder != root and folder.parent == root
    split = folder.parent
    return split != root and split.parent == root and split.name.lower() in SPLIT_FOLDERS


def _split_of(class_folder: PurePosixPath) -> Split:
    return SPLIT_FOLDERS[class_folder.parent.name.lower()]


def _classes(class_folders: Sequence[PurePosixPath], source: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the label of each class folder name, and the class names.

    Names that differ in upper and lower case or in their Unicode form are one class. The classes are in alphabetical
    order, or in FER2013's order if they are its seven classes.
    """
    spellings: dict[str, list[PurePosixPath]] = {}
    for folder in class_folders:
        if not folder.name.isprintable():
            raise DataError(f"{source}: the class folder {str(folder)!r} contains control characters; rename it.")
        spellings.setdefault(_comparable(folder.name), []).append(folder)
    for folders in spellings.values():
        _require_one_per_split(folders, source)
    if len(spellings) < 2:
        raise DataError(
            f"{source}: found only one class, {class_folders[0]}, but a model needs at least two. Expected: {LAYOUTS}."
        )
    class_names = EMOTIONS if spellings.keys() == set(EMOTIONS) else tuple(sorted(map(_class_name, spellings.values())))
    keys = [_comparable(name) for name in class_names]
    return {folder.name: keys.index(_comparable(folder.name)) for folder in class_folders}, class_names


def _comparable(name: str) -> str:
    """Return a form of a class name that is equal for all its spellings."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _class_name(folders: Iterable[PurePosixPath]) -> str:
    """Return the spelling of a class in the training folder, composed as keyboards write it."""
    folder = min(folders, key=lambda folder: (SPLIT_FOLDERS.get(folder.parent.name.lower(), Split.TRAIN), folder))
    return unicodedata.normalize("NFC", folder.name)


def _require_one_per_split(folders: Sequence[PurePosixPath], source: str) -> None:
    """Raise a DataError if two folders next to each other have the same name in different spellings."""
    for first, second in itertools.pairwise(folders):
        if first.parent == second.parent:
            raise DataError(
                f"{source}: the class folders {first} and {second} differ only in upper and lower case or in their "
                "Unicode form. Merge them, or rename one."
            )


def _with_missing_splits(dataset: Dataset, layout: Layout) -> Dataset:
    if not len(dataset):
        raise DataError(f"{dataset.source}: no image could be read. Run without --skip-bad to see the first error.")
    if layout.splits and Split.TRAIN not in layout.splits:
        return dataset
    _require_all_classes(dataset)
    if layout.splits <= {Split.TRAIN}:
        return split_off(dataset, (Split.VALIDATION, Split.TEST), "train/" if layout.splits else "the images")
    if Split.VALIDATION not in layout.splits:
        return split_off(dataset, (Split.VALIDATION,), "train/")
    return dataset


def _require_all_classes(dataset: Dataset) -> None:
    for name, count in dataset.take(Split.TRAIN).class_counts().items():
        if not count:
            raise DataError(
                f"{dataset.source}: class '{name}' has no training images. "
                "Add some, or remove the class from all splits."
            )
