"""Pictures of your own, sorted into class folders: a folder, or a zip that is read in place.

`train/<class>/*.jpg`, `val/<class>/*.jpg` and `test/<class>/*.jpg`, or some of these, or `<class>/*.jpg` alone.
Pictures may be of any size, gray or in color; what is kept of each is its middle, 48x48 and gray. Validation and test
images that are missing are carved out of training, see `ferlab.data.splits`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ferlab.data import fer2013_csv, kaggle
from ferlab.data.archive import SUFFIXES, Member, empty_folders, is_container, is_image, open_members, read_members
from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.faces import largest_face
from ferlab.data.reading import BadItems, decode
from ferlab.data.splits import split_off
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError

SPLIT_FOLDERS = {
    "train": Split.TRAIN,
    "val": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "test": Split.TEST,
}
UNREAD_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".tif", ".tiff")  # pictures too, which must not vanish in silence
LAYOUTS = "train/<class>/*.jpg, val/<class>/*.jpg and test/<class>/*.jpg, or <class>/*.jpg alone"
FACES_NOTE = "faces: the largest face of each picture, found by OpenCV's frontal-face cascade, was cut out"


def matches(path: Path) -> bool:
    """Whether `path` is a folder or zip that is neither FER2013 in the Kaggle layout nor a table."""
    return is_container(path) and not fer2013_csv.matches(path) and not kaggle.matches(path)


def load(path: Path, bad: BadItems, *, faces: bool = False) -> Dataset:
    """Reads class folders of pictures. The names of the images are their paths in the folder or archive.

    Args:
        path: a folder or a zip.
        bad: told of each picture that cannot be read.
        faces: cut the largest face out of each picture; one without a face is a bad item.

    Raises:
        DataError: if there are no class folders or just one, if a class has no training pictures beside others that
            do, or at the first bad picture unless bad ones are skipped.
    """
    with open_members(path, bad) as members:
        pictures = [member for member in members if _is_meant(member)]
        layout = _find_layout([path for path, _ in pictures], bad.source)
        for folder in empty_folders(path):
            if layout.holds_class(folder):
                bad.report(str(folder), "this class folder holds no images")
        convert = _face if faces else _middle
        dataset = read_members(pictures, bad, place=layout.place, picture=convert, class_names=layout.class_names)
    dataset = replace(dataset, notes=(FACES_NOTE,) if faces else ())
    return _with_missing_splits(dataset, layout)


def read_face(path: Path, *, faces: bool = False) -> np.ndarray:
    """Reads one picture of any format that OpenCV reads, as a model is to see it.

    Args:
        path: the file. A picture of 48x48 pixels is taken as it is.
        faces: cut the largest face out; else the square in the middle is taken.

    Returns:
        `(48, 48)` uint8, gray.

    Raises:
        DataError: if it cannot be read, or no face is found.
    """
    try:
        content = path.read_bytes()
        return _face(content) if faces and decode(content).shape != (IMAGE_SIZE, IMAGE_SIZE) else _middle(content)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        hint = " Leave --faces out to take the middle of the picture." if "no face" in str(error) else ""
        raise DataError(f"{path}: {error}.{hint}") from None


def _is_meant(member: Member) -> bool:
    path = member[0]
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not is_hidden and (is_image(path) or path.suffix.lower() in UNREAD_SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the class folders are: in split folders or, where `splits` is empty, in `root` itself."""

    root: PurePosixPath
    splits: frozenset[Split]
    class_names: tuple[str, ...]

    def holds_class(self, folder: PurePosixPath) -> bool:
        """Whether a folder is where a class folder should be."""
        return _holds_class(folder, self.root, bool(self.splits))

    def place(self, path: PurePosixPath) -> tuple[int, Split]:
        """Label and split of a picture.

        Raises:
            ValueError: with the reason, if it is no picture of a class.
        """
        if not self.holds_class(path.parent):
            expected = self.root / ("train/<class>" if self.splits else "<class>")
            raise ValueError(f"it does not lie in a class folder, such as {expected}/")
        if path.suffix.lower() in UNREAD_SUFFIXES:
            raise ValueError(f"pictures of the kind {path.suffix} are not read (known: {', '.join(SUFFIXES)})")
        name = path.parent.name
        label = self.class_names.index(name if name in self.class_names else name.lower())
        return label, _split_of(path.parent) if self.splits else Split.TRAIN


def _find_layout(paths: Sequence[PurePosixPath], source: str) -> _Layout:
    """The layout of most pictures, whatever folders it is wrapped in.

    Raises:
        DataError: if there are no class folders, or just one.
    """
    folders = sorted(path.parent for path in paths if path.parent.name)
    if not folders:
        raise DataError(f"{source}: no images found in class folders. Expected: {LAYOUTS}.")
    in_splits = [folder for folder in folders if folder.parent.name.lower() in SPLIT_FOLDERS]
    roots = [folder.parent.parent for folder in in_splits] or [folder.parent for folder in folders]
    root = Counter(roots).most_common(1)[0][0]
    class_folders = {folder for folder in folders if _holds_class(folder, root, bool(in_splits))}
    return _Layout(
        root=root,
        splits=frozenset(_split_of(folder) for folder in class_folders) if in_splits else frozenset(),
        class_names=_class_names(class_folders, source),
    )


def _holds_class(folder: PurePosixPath, root: PurePosixPath, in_splits: bool) -> bool:
    if not in_splits:
        return folder != root and folder.parent == root
    split = folder.parent
    return split != root and split.parent == root and split.name.lower() in SPLIT_FOLDERS


def _split_of(class_folder: PurePosixPath) -> Split:
    return SPLIT_FOLDERS[class_folder.parent.name.lower()]


def _class_names(class_folders: set[PurePosixPath], source: str) -> tuple[str, ...]:
    """The classes in the order of their names, or FER2013's own order where they are its seven."""
    names = {folder.name for folder in class_folders}
    if {name.lower() for name in names} == set(EMOTIONS):
        return EMOTIONS
    if len(names) < 2:
        raise DataError(
            f"{source}: only one class was found, {min(class_folders)}, and a model tells at least two apart. "
            f"Expected: {LAYOUTS}."
        )
    return tuple(sorted(names))


def _with_missing_splits(dataset: Dataset, layout: _Layout) -> Dataset:
    if not len(dataset):
        raise DataError(f"{dataset.source}: no image could be read. Look at what is wrong without --skip-bad.")
    if layout.splits and Split.TRAIN not in layout.splits:
        return dataset
    _require_all_classes(dataset)
    if layout.splits <= {Split.TRAIN}:
        return split_off(dataset, (Split.VALIDATION, Split.TEST), "train/" if layout.splits else "the pictures")
    if Split.VALIDATION not in layout.splits:
        return split_off(dataset, (Split.VALIDATION,), "train/")
    return dataset


def _require_all_classes(dataset: Dataset) -> None:
    for name, count in dataset.take(Split.TRAIN).class_counts().items():
        if not count:
            raise DataError(
                f"{dataset.source}: there are no training images of the class '{name}'. "
                "Add some, or remove the folders of this class from all splits."
            )


def _middle(content: bytes) -> np.ndarray:
    return _resized_square(decode(content))


def _face(content: bytes) -> np.ndarray:
    face = largest_face(decode(content))
    if face is None:
        raise ValueError("no face found")
    return face


def _resized_square(image: np.ndarray) -> np.ndarray:
    """The square in the middle of `(H, W)` uint8, as `(48, 48)` uint8."""
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > IMAGE_SIZE else cv2.INTER_LINEAR
    return cv2.resize(square, (IMAGE_SIZE, IMAGE_SIZE), interpolation=how)
