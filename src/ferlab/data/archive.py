"""List and read the image files of a folder or a zip. A zip is read in place, never unpacked."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.reading import READING_ERRORS, BadItems, open_archive
from ferlab.errors import DataError, ImageError, reason_of
from ferlab.files import exists, read_file, shown
from ferlab.images.listing import is_hidden, is_image, walk
from ferlab.limits import MAX_IMAGE_BYTES, MAX_PATH
from ferlab.results import Skipped
from ferlab.zip_files import read_member

Converted = TypeVar("Converted")
Member = tuple[PurePosixPath, Callable[[], bytes]]  # path in the folder or archive, and a function that reads it


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data source, opened for reading.

    Args:
        path: a folder, a zip or another file.
        images: the image files of a folder or zip, sorted by path; hidden ones are left out.
        empty_folders: sorted paths of the folders without images and subfolders.
        problems: what cannot be listed: folders that cannot be opened, links without a target, and zip members whose
            path points outside the archive or occurs more than once.
    """

    path: Path
    images: tuple[Member, ...] = ()
    empty_folders: tuple[PurePosixPath, ...] = ()
    problems: tuple[Skipped, ...] = ()

    @property
    def is_zip(self) -> bool:
        """Whether the source is a file with the suffix of a zip."""
        return self.path.suffix.lower() == ".zip" and not self.path.is_dir()

    @property
    def is_container(self) -> bool:
        """Whether the source is a folder or a zip."""
        return self.path.is_dir() or self.is_zip


@contextmanager
def open_data(path: Path) -> Iterator[Source]:
    """List the images of a folder or a zip, and keep the zip open while they are read.

    Raises:
        DataError: if the source is missing, a pipe or a device, or a zip that is not complete.
    """
    if not exists(path):
        raise DataError(f"{shown(path)} does not exist.")
    if not (path.is_dir() or path.is_file()):
        raise DataError(f"{path} is neither a regular file nor a folder. Save the data to a file first.")
    source = Source(path=path)
    if source.is_zip:
        with open_archive(path) as archive:
            yield _list_zip(path, archive)
    else:
        yield _list_folder(path) if source.is_container else source


def _list_folder(root: Path) -> Source:
    images: list[Member] = []
    empty: list[PurePosixPath] = []
    problems: list[Skipped] = []
    for folder in walk(root):
        images += [(_inner(file, root), partial(read_file, file, MAX_IMAGE_BYTES)) for file in folder.images]
        problems += [Skipped(name=str(_inner(path, root)), reason=reason) for path, reason in folder.problems]
        if not (folder.images or folder.subfolders or folder.problems):
            empty.append(_inner(folder.path, root))
    images.sort(key=_parts)
    return Source(path=root, images=tuple(images), empty_folders=tuple(empty), problems=tuple(problems))


def _inner(path: Path, root: Path) -> PurePosixPath:
    """Return a path in a folder. Escapes bytes that are not valid UTF-8, as in file names from old archives."""
    return PurePosixPath(path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode("utf-8"))


def _list_zip(path: Path, archive: zipfile.ZipFile) -> Source:
    files: dict[PurePosixPath, list[zipfile.ZipInfo]] = {}
    folders: set[PurePosixPath] = set()
    problems: list[Skipped] = []
    for info in archive.infolist():
        member = PurePosixPath(info.filename.replace("\\", "/"))
        if ".." in member.parts or member.is_absolute():
            reason = "the path of this zip member points outside the archive"
            problems.append(Skipped(name=info.filename, reason=reason))
        elif len(info.filename) > MAX_PATH:  # an array of names gives all of them the length of the longest
            reason = f"the path of this zip member is longer than {MAX_PATH:,} characters"
            problems.append(Skipped(name=f"{info.filename[:100]}...", reason=reason))
        elif any(map(is_hidden, member.parts)):
            continue
        elif info.is_dir():
            folders.add(member)
        elif is_image(member):
            files.setdefault(member, []).append(info)
    for member, infos in files.items():
        if len(infos) > 1:
            reason = f"the zip contains {len(infos)} files with this path, and which one is meant is unknown"
            problems.append(Skipped(name=str(member), reason=reason))
    images = {
        member: partial(read_member, archive, infos[0], MAX_IMAGE_BYTES)
        for member, infos in files.items()
        if len(infos) == 1
    }
    if folders:  # most zips have no entries for their folders
        folders = folders.difference(*(folder.parents for folder in folders), {file.parent for file in files})
    return Source(
        path=path,
        images=tuple(sorted(images.items(), key=_parts)),
        empty_folders=tuple(sorted(folders)),
        problems=tuple(problems),
    )


def _parts(member: Member) -> tuple[str, ...]:
    return member[0].parts


def convert_members(
    members: Iterable[Member], bad: BadItems, convert: Callable[[PurePosixPath, Callable[[], bytes]], Converted]
) -> Iterator[tuple[PurePosixPath, Converted]]:
    """Convert files. Yields each path with the result of `convert`, except for bad files.

    Args:
        members: the files.
        bad: collects or raises on the files that cannot be converted.
        convert: called with each member; raises ValueError or ImageError with the reason if it cannot convert the file.

    Raises:
        DataError: at the first bad file, unless bad items are skipped.
    """
    for path, read in members:
        try:
            converted = convert(path, read)
        except READING_ERRORS as error:
            bad.report(str(path), f"the file cannot be read ({reason_of(error)})")
        except (ValueError, ImageError) as error:
            bad.report(str(path), str(error))
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
    """Read image files into a dataset. The dataset is empty if every file is bad.

    Args:
        members: the image files.
        bad: collects or raises on the files that cannot be read.
        place: returns the label and split of a path; raises ValueError with the reason if it has none.
        decode: returns a `(48, 48)` uint8 image from the content of a file; raises ValueError or ImageError with the
            reason if it cannot.
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
