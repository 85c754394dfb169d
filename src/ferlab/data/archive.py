"""What formats made of many picture files share: listing a folder or a zip, which is read in place, and reading it."""

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.reading import READING_ERRORS, BadItems, open_zip

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

Member = tuple[PurePosixPath, Callable[[], bytes]]  # path in the folder or archive, and how to read the content


def is_container(path: Path) -> bool:
    """Whether `path` is a folder or is called a zip."""
    return path.is_dir() or path.suffix.lower() == ".zip"


def is_image(path: PurePosixPath) -> bool:
    """Whether a file is a picture by its name. macOS adds a `._` file to each file of a zip."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def file_paths(source: Path) -> Iterator[PurePosixPath]:
    """The paths of all files in a folder or a zip, in no order."""
    if source.is_dir():
        for folder, _, files in os.walk(source):
            inner = PurePosixPath(Path(folder).relative_to(source).as_posix())
            yield from (inner / file for file in files)
        return
    with open_zip(source) as archive:
        yield from (_member_path(info) for info in archive.infolist() if not info.is_dir())


def empty_folders(source: Path) -> Iterator[PurePosixPath]:
    """The paths of the folders of a folder that hold nothing at all, in order; of a zip, none."""
    for folder, subfolders, files in os.walk(source):
        subfolders.sort()
        if not files and not subfolders:
            yield _printable(PurePosixPath(Path(folder).relative_to(source).as_posix()))


@contextmanager
def open_members(source: Path, bad: BadItems) -> Iterator[list[Member]]:
    """Lists all files of a folder or a zip. The zip stays open meanwhile; members outside of it are bad items."""
    if source.is_dir():
        yield [(_printable(path), (source / path).read_bytes) for path in file_paths(source)]
        return
    with open_zip(source) as archive:
        yield list(_zip_members(archive, bad))


def _printable(path: PurePosixPath) -> PurePosixPath:
    """The path with escapes for bytes that are no UTF-8, as old archives leave them behind."""
    return PurePosixPath(str(path).encode("utf-8", "backslashreplace").decode("utf-8"))


def _zip_members(archive: zipfile.ZipFile, bad: BadItems) -> Iterator[Member]:
    for info in archive.infolist():
        path = _member_path(info)
        if ".." in path.parts or path.is_absolute():
            bad.report(info.filename, "this member of the archive points outside of it")
        elif not info.is_dir():
            yield path, partial(archive.read, info)


def _member_path(info: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(info.filename.replace("\\", "/"))


def read_members(
    members: Iterable[Member],
    bad: BadItems,
    *,
    place: Callable[[PurePosixPath], tuple[int, Split]],
    picture: Callable[[bytes], np.ndarray],
    class_names: tuple[str, ...],
) -> Dataset:
    """Reads members, in the order of their paths, into a data set; it is empty where none is good.

    Args:
        members: the files, and no others.
        bad: told of each one that cannot be read.
        place: label and split of a path; raises ValueError with the reason where it has none.
        picture: `(48, 48)` uint8 from the content of a file; raises ValueError with the reason where there is none.
        class_names: in the order of the labels.

    Raises:
        DataError: at the first bad member, unless bad ones are skipped.
    """
    images, labels, splits, names = [], [], [], []
    for path, read in sorted(members, key=lambda member: member[0]):
        try:
            label, split = place(path)
            image = picture(read())
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
    return Dataset(
        images=np.array(images, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        names=np.array(names, np.str_),
        class_names=class_names,
        source=bad.source,
        skipped=tuple(bad.items),
    )
