"""The Kaggle layout of FER2013 (`msambare/fer2013`), as a folder or as the zip that Kaggle serves.

`train/<class>/Training_*.jpg`, `test/<class>/PublicTest_*.jpg` and `test/<class>/PrivateTest_*.jpg`: the `test`
folder mixes two splits of the official protocol, and the file names tell them apart. A zip is read in place.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ferlab.data.archive import Member, empty_folders, file_paths, is_container, is_image, open_members, read_members
from ferlab.data.dataset import Dataset, Split
from ferlab.data.reading import BadItems, decode_face, emotion_label
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError

FOLDERS = ("train", "test")
PREFIXES = {"Training": Split.TRAIN, "PublicTest": Split.VALIDATION, "PrivateTest": Split.TEST}

LAYOUT = "train/<class>/Training_*.jpg, test/<class>/PublicTest_*.jpg and test/<class>/PrivateTest_*.jpg"


def matches(path: Path) -> bool:
    """Whether `path` is a folder or zip with a picture that is named as those of FER2013 are."""
    return is_container(path) and any(is_image(file) and _prefix(file) in PREFIXES for file in file_paths(path))


def load(path: Path, bad: BadItems) -> Dataset:
    """Reads the layout. The names of the images are their paths from `train/` or `test/` on.

    Raises:
        DataError: if the layout is not there, or at the first bad image unless bad ones are skipped.
    """
    for folder in empty_folders(path):
        if (inner := _from_split_folder(folder)) and len(inner.parts) == 2:
            bad.report(str(inner), "this class folder holds no images")
    with open_members(path, bad) as members:
        dataset = read_members(_images(members), bad, place=_place, picture=decode_face, class_names=EMOTIONS)
    if not len(dataset):
        raise DataError(f"{bad.source}: no images found. The Kaggle layout is {LAYOUT}.")
    return dataset


def _images(members: list[Member]) -> Iterator[Member]:
    for path, read in members:
        if is_image(path) and (inner := _from_split_folder(path)):
            yield inner, read


def _from_split_folder(path: PurePosixPath) -> PurePosixPath | None:
    """The path from `train/` or `test/` on, for the archive may wrap them in a folder of its own."""
    for index, part in enumerate(path.parts):
        if part in FOLDERS:
            return PurePosixPath(*path.parts[index:])
    return None


def _place(path: PurePosixPath) -> tuple[int, Split]:
    label = emotion_label(path.parent.name)
    if _prefix(path) not in PREFIXES:
        raise ValueError(f"its file name tells no split (expected: {', '.join(f'{name}_*' for name in PREFIXES)})")
    return label, PREFIXES[_prefix(path)]


def _prefix(path: PurePosixPath) -> str:
    return path.name.split("_")[0]
