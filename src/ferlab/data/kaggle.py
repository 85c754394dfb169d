"""FER2013 in the Kaggle layout (`msambare/fer2013`), as a folder or as the zip that Kaggle serves.

`train/<class>/Training_*.jpg`, `test/<class>/PublicTest_*.jpg` and `test/<class>/PrivateTest_*.jpg`. The `test` folder
contains two splits of the official protocol, which are identified by the file names.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ferlab.data.archive import Member, empty_folders, file_paths, is_container, is_image, open_members, read_members
from ferlab.data.dataset import Dataset, Split
from ferlab.data.fer2013 import USAGES
from ferlab.data.reading import BadItems, decode_face, emotion_label
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError

FOLDERS = ("train", "test")

LAYOUT = "train/<class>/Training_*.jpg, test/<class>/PublicTest_*.jpg and test/<class>/PrivateTest_*.jpg"


def matches(path: Path) -> bool:
    """Return whether `path` is a folder or zip with at least one image named like those of FER2013."""
    return is_container(path) and any(is_image(file) and _prefix(file) in USAGES for file in file_paths(path))


def load(path: Path, bad: BadItems) -> Dataset:
    """Load the Kaggle layout. Images are named by their path, starting at `train/` or `test/`.

    Raises:
        DataError: if there are no images in this layout, or at the first bad image unless bad items are skipped.
    """
    for folder in empty_folders(path):
        if (inner := _from_split_folder(folder)) and len(inner.parts) == 2:
            bad.report(str(inner), "this class folder contains no images")
    with open_members(path, bad) as members:
        dataset = read_members(_images(members), bad, place=_place, decode=decode_face, class_names=EMOTIONS)
    if not len(dataset):
        raise DataError(f"{bad.source}: no images found. The Kaggle layout is {LAYOUT}.")
    return dataset


def _images(members: list[Member]) -> Iterator[Member]:
    for path, read in members:
        if is_image(path) and (inner := _from_split_folder(path)):
            yield inner, read


def _from_split_folder(path: PurePosixPath) -> PurePosixPath | None:
    """Return the path from `train/` or `test/` on; archives may wrap these in another folder."""
    for index, part in enumerate(path.parts):
        if part in FOLDERS:
            return PurePosixPath(*path.parts[index:])
    return None


def _place(path: PurePosixPath) -> tuple[int, Split]:
    label = emotion_label(path.parent.name)
    if _prefix(path) not in USAGES:
        expected = ", ".join(f"{name}_*" for name in USAGES)
        raise ValueError(f"the file name does not identify the split (expected: {expected})")
    return label, USAGES[_prefix(path)]


def _prefix(path: PurePosixPath) -> str:
    return path.name.split("_")[0]
