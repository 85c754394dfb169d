"""List and read the image files of a folder or a zip. A zip is read in place, never unpacked."""

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.reading import READING_ERRORS, BadItems, open_zip

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

Converted = TypeVar("Converted")
Member = tuple[PurePosixPath, Callable[[], bytes]]  # path in the folder or archive, and a function that reads it


def is_container(path: Path) -> bool:
    """Return whether `path` is a folder or has the suffix of a zip."""
    return path.is_dir() or path.suffix.lower() == ".zip"


def is_image(path: PurePosixPath) -> bool:
    """Return whether a file name is that of an image. The `._` files that macOS adds to zips are not images."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def file_paths(source: Path) -> Iterator[PurePosixPath]:
    """Yield the paths of all files in a folder or a zip, in no particular order."""
    if source.is_dir():
        for folder, _, files in os.walk(source):
            inner = PurePosixPath(Path(folder).relative_to(source).as_posix())
            yield from (inner / file for file in files)
        return
    with open_zip(source) as archive:
        yield from (_member_path(info) for info in archive.infolist() if not info.is_dir())


def empty_folders(source: Path) -> Iterator[PurePosixPath]:
    """Yield the sorted paths of the empty subfolders of a folder. A zip has none."""
    for folder, subfolders, files in os.walk(source):
        subfolders.sort()
        if not files and not subfolders:
            yield _printable(PurePosixPath(Path(folder).relative_to(source).as_posix()))


@contextmanager
def open_members(source: Path, bad: BadItems) -> Iterator[list[Member]]:
    """List all files of a folder or a zip, and keep the zip open while they are read.

    Zip members whose path points outside the archive are reported as bad items.
    """
    if source.is_dir():
        yield [(_printable(path), (source / path).read_bytes) for path in file_paths(source)]
        return
    with open_zip(source) as archive:
        yield list(_zip_members(archive, bad))


def _printable(path: PurePosixPath) -> PurePosixPath:
    """Escape bytes that are not valid UTF-8, which occur in file names unpacked from old archives."""
    return PurePosixPath(str(path).encode("utf-8", "backslashreplace").decode("utf-8"))


def _zip_members(archive: zipfile.ZipFile, bad: BadItems) -> Iterator[Member]:
    for info in archive.infolist():
        path = _member_path(info)
        if ".." in path.parts or path.is_absolute():
            bad.report(info.filename, "the path of this zip member points outside the archive")
        elif not info.is_dir():
            yield path, partial(archive.read, info)


def _member_path(info: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(info.filename.replace("\\", "/"))


def convert_members(
    members: Iterable[Member], bad: BadItems, convert: Callable[[PurePosixPath, Callable[[], bytes]], Converted]
) -> Iterator[tuple[PurePosixPath, Converted]]:
    """Convert files, sorted by path. Yields each path with the result of `convert`, except for bad files.

    Args:
        members: the files.
        bad: collects or raises on the files that cannot be converted.
        convert: called with each member; raises ValueError with the reason if it cannot convert the file.

    Raises:
        DataError: at the first bad file, unless bad items are skipped.
    """
    for path, read in sorted(members, key=lambda member: member[0]):
        try:
            converted = convert(path, read)
        except ValueError as error:
            bad.report(str(path), str(error))
        except READING_ERRORS as error:
            bad.report(str(path), f"the file cannot be read ({error})")
        else:
            yield path, converted


def read_members(
    members: Iterable[Member],
    bad: BadItems,
    *,
    place: Callable[[PurePosixPath], tuple[int, Split]],
    decode: Callable[[bytes], np.ndarray],
    class_names: tuple[str, ...],
) -> Dataset:
    """Read image files into a dataset, sorted by path. The dataset is empty if every file is bad.

    Args:
        members: the image files.
        bad: collects or raises on the files that cannot be read.
        place: returns the label and split of a path; raises ValueError with the reason if it has none.
        decode: returns a `(48, 48)` uint8 image from the content of a file; raises ValueError with the reason if it
            cannot.
        class_names: class names in the order of the labels.

    Raises:
        DataError: at the first bad file, unless bad items are skipped.
    """
    images, labels, splits, names = [], [], [], []

    def place_and_decode(path: PurePosixPath, read: Callable[[], bytes]) -> tuple[int, Split, np.ndarray]:
        return *place(path), decode(read())

    for path, (label, split, image) in convert_members(members, bad, place_and_decode):
        images.append(image)
        labels.append(label)
        splits.append(split)
        names.append(str(path))
    return Dataset(
        images=np.array(images, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        names=np.array(names, np.str_),
        class_names=class_names,
        source=bad.source,
        skipped=tuple(bad.items),
    )
