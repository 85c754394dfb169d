"""List image files. Links to folders are followed, and whatever cannot be listed is named with the reason."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from ferlab.errors import ImageError

NOT_IMAGES = ("BUFR", "GRIB", "HDF5", "MPEG", "PDF")  # formats with other content that Pillow also registers
# Image formats that Pillow does not know: newer ones, vector graphics, and the raw files of cameras.
OTHER_SUFFIXES = (
    *(".avci", ".exr", ".hdr", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl", ".jxr", ".psb", ".svg", ".xcf"),
    *(".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw", ".x3f"),
)


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of all image formats, in lower case, whether or not they can be decoded."""
    from PIL import Image

    known = {suffix for suffix, name in Image.registered_extensions().items() if name not in NOT_IMAGES}
    return frozenset(known.union(OTHER_SUFFIXES))


def is_image(path: PurePath) -> bool:
    """Return whether a file has the name of an image."""
    return path.suffix.lower() in image_suffixes()


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or holds the file attributes that macOS adds to zips."""
    return name.startswith(".") or name == "__MACOSX"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The images directly in a folder. All paths are sorted and begin with the path of the root folder.

    Args:
        path: the folder.
        images: its image files.
        subfolders: its folders, including links to folders, except links to a folder that contains them.
        problems: what may be or contain an image and cannot be listed, with the reason: the folder itself if it cannot
            be opened, and links without a target.
    """

    path: Path
    images: Sequence[Path] = ()
    subfolders: Sequence[Path] = ()
    problems: Sequence[tuple[Path, str]] = ()


def walk(root: Path) -> Iterator[Folder]:
    """Walk through a folder and its subfolders, from the top and in sorted order, without hidden files and folders."""
    yield from _walk(root, Path(os.path.realpath(root)), frozenset())


def _walk(path: Path, real: Path, above: frozenset[Path]) -> Iterator[Folder]:
    """Walk through the folder `path`. Its real path is `real`, and the folders that contain it are `above`."""
    folder = _list(path, above := above.union((real, *real.parents)))
    yield folder
    for subfolder in folder.subfolders:
        yield from _walk(subfolder, _real(subfolder, real), above)


def _real(subfolder: Path, real: Path) -> Path:
    """Return the real path of a folder, or of a link to one, in a folder with a real path."""
    return Path(os.path.realpath(subfolder)) if subfolder.is_symlink() else real / subfolder.name


def _list(path: Path, above: frozenset[Path]) -> Folder:
    """List a folder, without links to the folders `above`."""
    images, subfolders, problems = [], [], []
    try:
        with os.scandir(path) as entries:
            names = sorted((entry.name, entry) for entry in entries if not is_hidden(entry.name))
    except OSError as error:
        return Folder(path=path, problems=[(path, f"the folder cannot be read ({error.strerror})")])
    for name, entry in names:
        file = path / name
        is_link = entry.is_symlink()
        if os.path.isdir(file) if is_link else entry.is_dir():  # noqa: PTH112  # Path.is_dir may raise an error
            if not is_link or Path(os.path.realpath(file)) not in above:
                subfolders.append(file)
        elif is_link and not os.path.exists(file):  # noqa: PTH110
            problems.append((file, f"a link to {os.readlink(file)}, which cannot be read"))  # noqa: PTH115
        elif is_image(file):
            images.append(file)
    return Folder(path=path, images=images, subfolders=subfolders, problems=problems)


def list_images(
    paths: Sequence[str | Path], *, recursive: bool = False, exclude: Path | None = None
) -> dict[Path, Path]:
    """List the image files that paths refer to.

    Args:
        paths: files with any name; folders, of which only files with an image suffix are listed; and patterns such as
            `photos/*.jpg`.
        recursive: whether to search subfolders, and links to folders.
        exclude: a subfolder to leave out, such as the output folder of annotated images.

    Returns:
        Each file once, sorted within a folder or pattern, with a relative path for files derived from it: its path
        below the folder, or its name. The relative paths are unique. Subfolders that cannot be opened and links without
        a target are listed like files: `read_image` raises the reason.

    Raises:
        ImageError: if a path does not exist or cannot be opened, or no images are found.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        try:
            found |= _list_path(path, recursive, exclude)
        except OSError as error:  # such as a name that is too long
            raise ImageError(f"{path}: {error.strerror}.") from None
    if not found:
        hint = "" if recursive else " Use --recursive to search subfolders."
        raise ImageError(f"No images found in {', '.join(map(str, paths))}.{hint}")
    return _make_unique(found)


def _list_path(path: Path, recursive: bool, exclude: Path | None) -> dict[Path, Path]:
    if path.is_dir():
        return {file: file.relative_to(path) for file in _list_folder(path, recursive, exclude)}
    if path.exists():
        return {path: Path(path.name)}
    if matches := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  # Path.glob takes no absolute pattern
        return {Path(match): Path(Path(match).name) for match in matches if not Path(match).is_dir()}
    raise ImageError(f"{path} does not exist. Pass images, folders of images, or a pattern such as '*.jpg'.")


def _list_folder(root: Path, recursive: bool, exclude: Path | None) -> list[Path]:
    left_out = exclude.resolve() if exclude else None
    if left_out and _is_inside(root, left_out):
        left_out = None
    return list(images_of(root, recursive=recursive, exclude=left_out))


def images_of(root: Path, *, recursive: bool = False, exclude: Path | None = None) -> Iterator[Path]:
    """Yield the image files of a folder in sorted order, with only the names of open folders in memory.

    Args:
        root: the folder.
        recursive: whether to search subfolders, and links to folders.
        exclude: the real path of a subfolder to leave out.

    Raises:
        OSError: if the folder cannot be opened. Subfolders that cannot be opened are listed like files.
    """
    os.scandir(root).close()  # raises the reason why it cannot be opened
    yield from _images_of(root, Path(os.path.realpath(root)), frozenset(), recursive, exclude)


def _images_of(path: Path, real: Path, above: frozenset[Path], recursive: bool, exclude: Path | None) -> Iterator[Path]:
    folder = _list(path, above := above.union((real, *real.parents)))
    subfolders = {subfolder: _real(subfolder, real) for subfolder in folder.subfolders} if recursive else {}
    for entry in sorted([*folder.images, *(problem for problem, _ in folder.problems), *subfolders]):
        if entry not in subfolders:
            yield entry
        elif not exclude or not subfolders[entry].is_relative_to(exclude):
            yield from _images_of(entry, subfolders[entry], above, recursive, exclude)


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _make_unique(targets: Mapping[Path, Path]) -> dict[Path, Path]:
    """Number relative paths that occur more than once: `a.jpg`, `a-2.jpg`. An annotated copy may append a suffix."""
    unique, taken, numbers = dict(targets), set[Path](), Counter[Path]()
    for file, target in targets.items():
        while not taken.isdisjoint(names := possible_copies(unique[file])):
            numbers[target] += 1
            unique[file] = target.with_stem(f"{target.stem}-{numbers[target] + 1}")
        taken |= names
    return unique


def possible_copies(target: Path) -> set[Path]:
    """Return the names that an annotated copy may have: as it is, or with the suffix of the format that it becomes."""
    return {target, *(target.with_name(f"{target.name}{suffix}") for suffix in (".jpg", ".png", ".jpg.png"))}
