"""The Kaggle layout of FER2013 (`msambare/fer2013`), as a folder or as the zip that Kaggle serves.

`train/<class>/Training_*.jpg`, `test/<class>/PublicTest_*.jpg` and `test/<class>/PrivateTest_*.jpg`: the `test`
folder mixes two splits of the official protocol, and the file names tell them apart. A zip is read in place.
"""

import os
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.reading import READING_ERRORS, BadItems, decode, emotion_label, open_zip
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError

FOLDERS = ("train", "test")
PREFIXES = {"Training": Split.TRAIN, "PublicTest": Split.VALIDATION, "PrivateTest": Split.TEST}
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")

LAYOUT = "train/<class>/Training_*.jpg, test/<class>/PublicTest_*.jpg and test/<class>/PrivateTest_*.jpg"


def matches(path: Path) -> bool:
    """Whether `path` is a folder, or a zip without a CSV table in it."""
    if path.is_dir():
        return True
    if path.suffix.lower() != ".zip":
        return False
    with open_zip(path) as archive:
        return not any(name.lower().endswith(".csv") for name in archive.namelist())


def load(path: Path, bad: BadItems) -> Dataset:
    """Reads the layout. The names of the images are their paths from `train/` or `test/` on.

    Raises:
        DataError: if the layout is not there, or at the first bad image unless bad ones are skipped.
    """
    if path.is_dir():
        return _assemble(_folder_members(path, bad), bad)
    with open_zip(path) as archive:
        return _assemble(_zip_members(archive, bad), bad)


Member = tuple[PurePosixPath, Callable[[], bytes]]  # path from train/ or test/ on, and how to read the content


def _zip_members(archive: zipfile.ZipFile, bad: BadItems) -> Iterator[Member]:
    for info in archive.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if ".." in path.parts or path.is_absolute():
            bad.report(info.filename, "this member of the archive points outside of it")
        elif not info.is_dir() and (inner := _from_split_folder(path)):
            yield inner, partial(archive.read, info)


def _folder_members(root: Path, bad: BadItems) -> Iterator[Member]:
    for folder, subfolders, files in os.walk(root):
        inner = _from_split_folder(PurePosixPath(Path(folder).relative_to(root).as_posix()))
        if inner and len(inner.parts) == 2 and not files and not subfolders:
            bad.report(str(inner), "this class folder holds no images")
        for file in files:
            path = Path(folder, file)
            if inner := _from_split_folder(PurePosixPath(path.relative_to(root).as_posix())):
                yield inner, path.read_bytes


def _from_split_folder(path: PurePosixPath) -> PurePosixPath | None:
    """The path from `train/` or `test/` on, for the archive may wrap them in a folder of its own."""
    for index, part in enumerate(path.parts):
        if part in FOLDERS:
            return PurePosixPath(*path.parts[index:])
    return None


def _assemble(members: Iterator[Member], bad: BadItems) -> Dataset:
    images, labels, splits, names = [], [], [], []
    for path, read in sorted(members, key=lambda member: member[0]):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("._"):  # macOS adds a "._" file to each file
            continue
        try:
            label, split = emotion_label(path.parent.name), _split_of(path)
            image = decode(read())
        except ValueError as error:
            bad.report(str(path), str(error))
            continue
        except READING_ERRORS as error:
            bad.report(str(path), f"it cannot be read ({error})")
            continue
        images.append(image)
        labels.append(label)
        splits.append(split)
        names.append(str(path))
    if not images:
        raise DataError(f"{bad.source}: no images found. The Kaggle layout is {LAYOUT}.")
    return Dataset(
        images=np.stack(images).reshape(-1, IMAGE_SIZE, IMAGE_SIZE),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        names=np.array(names),
        class_names=EMOTIONS,
        source=bad.source,
        skipped=tuple(bad.items),
    )


def _split_of(path: PurePosixPath) -> Split:
    prefix = path.name.split("_")[0]
    if prefix not in PREFIXES:
        raise ValueError(f"its file name tells no split (expected: {', '.join(f'{name}_*' for name in PREFIXES)})")
    return PREFIXES[prefix]
