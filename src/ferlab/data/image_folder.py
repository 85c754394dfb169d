"""Your own images in class folders: a folder, or a zip that is read in place.

`train/<class>/*.jpg`, `val/<class>/*.jpg` and `test/<class>/*.jpg`, or some of these, or only `<class>/*.jpg`. Images
may have any size and be in color; each is converted to gray, cropped to the central square and resized to 48x48.
Missing validation and test images are split off from training, see `ferlab.data.splits`.
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
UNSUPPORTED_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".tif", ".tiff")  # of images; reported, not ignored
LAYOUTS = "train/<class>/*.jpg, val/<class>/*.jpg and test/<class>/*.jpg, or only <class>/*.jpg"
FACES_NOTE = "faces: the largest face in each image was cropped, found with OpenCV's frontal-face cascade"


def matches(path: Path) -> bool:
    """Return whether `path` is a folder or zip that is neither FER2013 in the Kaggle layout nor a table."""
    return is_container(path) and not fer2013_csv.matches(path) and not kaggle.matches(path)


def load(path: Path, bad: BadItems, *, faces: bool = False) -> Dataset:
    """Load images from class folders. Images are named by their path in the folder or archive.

    Args:
        path: a folder or a zip.
        bad: collects or raises on the images that cannot be read.
        faces: crop the largest face in each image; an image without a face is a bad item.

    Raises:
        DataError: if there are fewer than two class folders, if only some classes have training images, or at the
            first bad image unless bad items are skipped.
    """
    with open_members(path, bad) as members:
        images = [member for member in members if _is_visible_image(member)]
        layout = _find_layout([path for path, _ in images], bad.source)
        for folder in empty_folders(path):
            if layout.holds_class(folder):
                bad.report(str(folder), "this class folder contains no images")
        convert = largest_face_crop if faces else center_crop
        dataset = read_members(images, bad, place=layout.place, decode=convert, class_names=layout.class_names)
    dataset = replace(dataset, notes=(FACES_NOTE,) if faces else ())
    return _with_missing_splits(dataset, layout)


def read_face(path: Path, *, faces: bool = False) -> np.ndarray:
    """Read one image file and convert it to the input of a model.

    Args:
        path: an image file of any format that OpenCV supports. An image of 48x48 pixels is used as it is.
        faces: crop the largest face; otherwise the central square.

    Returns:
        The face crop, `(48, 48)` uint8, grayscale.

    Raises:
        DataError: if the file cannot be read or no face is found.
    """
    try:
        content = path.read_bytes()
        crop = faces and decode(content).shape != (IMAGE_SIZE, IMAGE_SIZE)
        return largest_face_crop(content) if crop else center_crop(content)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        hint = " Remove --faces to use the center of the image." if "no face" in str(error) else ""
        raise DataError(f"{path}: {error}.{hint}") from None


def _is_visible_image(member: Member) -> bool:
    path = member[0]
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not is_hidden and (is_image(path) or path.suffix.lower() in UNSUPPORTED_SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Location of the class folders: in split folders or, if `splits` is empty, directly in `root`."""

    root: PurePosixPath
    splits: frozenset[Split]
    class_names: tuple[str, ...]

    def holds_class(self, folder: PurePosixPath) -> bool:
        """Return whether a folder is where class folders are expected."""
        return _holds_class(folder, self.root, bool(self.splits))

    def place(self, path: PurePosixPath) -> tuple[int, Split]:
        """Return label and split of an image.

        Raises:
            ValueError: with the reason, if the image is not in a class folder or its format is not supported.
        """
        if not self.holds_class(path.parent):
            expected = self.root / ("train/<class>" if self.splits else "<class>")
            raise ValueError(f"the image is not in a class folder such as {expected}/")
        if path.suffix.lower() in UNSUPPORTED_SUFFIXES:
            raise ValueError(f"the format {path.suffix} is not supported (supported: {', '.join(SUFFIXES)})")
        name = path.parent.name
        label = self.class_names.index(name if name in self.class_names else name.lower())
        return label, _split_of(path.parent) if self.splits else Split.TRAIN


def _find_layout(paths: Sequence[PurePosixPath], source: str) -> _Layout:
    """Find the layout of most images. It may be wrapped in other folders.

    Raises:
        DataError: if there are fewer than two class folders.
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
    """Return the class names in alphabetical order, or in FER2013's order if they are its seven classes."""
    names = {folder.name for folder in class_folders}
    if {name.lower() for name in names} == set(EMOTIONS):
        return EMOTIONS
    if len(names) < 2:
        raise DataError(
            f"{source}: found only one class, {min(class_folders)}, but a model needs at least two. "
            f"Expected: {LAYOUTS}."
        )
    return tuple(sorted(names))


def _with_missing_splits(dataset: Dataset, layout: _Layout) -> Dataset:
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


def center_crop(content: bytes) -> np.ndarray:
    """Decode an image, and return its central square, `(48, 48)` uint8.

    Raises:
        ValueError: with the reason, if it cannot be decoded.
    """
    return _resized_square(decode(content))


def largest_face_crop(content: bytes) -> np.ndarray:
    """Decode an image, and return the crop of its largest face, `(48, 48)` uint8.

    Raises:
        ValueError: with the reason, if it cannot be decoded or has no face.
    """
    face = largest_face(decode(content))
    if face is None:
        raise ValueError("no face found")
    return face


def _resized_square(image: np.ndarray) -> np.ndarray:
    """Crop the central square of `(H, W)` uint8 and resize it to `(48, 48)` uint8."""
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > IMAGE_SIZE else cv2.INTER_LINEAR
    return cv2.resize(square, (IMAGE_SIZE, IMAGE_SIZE), interpolation=how)
