"""Images without labels: a folder or a zip with image files and no class folders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferlab.data.archive import convert_members, file_paths, is_container, is_image, open_members
from ferlab.data.dataset import IMAGE_SIZE
from ferlab.data.image_folder import center_crop, largest_face_crop
from ferlab.data.reading import BadItems
from ferlab.errors import DataError
from ferlab.results import Skipped


@dataclass(frozen=True, kw_only=True, eq=False)
class UnlabeledImages:
    """Images without labels.

    Args:
        names: `(N,)` str, paths in the folder or archive.
        images: `(N, 48, 48)` uint8.
        skipped: images that were skipped because they cannot be read.
    """

    names: np.ndarray
    images: np.ndarray
    skipped: tuple[Skipped, ...] = ()


def is_unlabeled(source: str | Path) -> bool:
    """Return whether a source is a folder or zip whose images are all in one folder, so that there are no classes."""
    path = Path(source).expanduser()
    if not path.exists() or not is_container(path):
        return False
    return len({file.parent for file in file_paths(path) if is_image(file)}) == 1


def load_unlabeled(source: str | Path, *, faces: bool = False, skip_bad: bool = False) -> UnlabeledImages:
    """Load images without labels, sorted by path.

    Args:
        source: a folder or zip.
        faces: crop the largest face of each image; otherwise the central square.
        skip_bad: skip images that cannot be read.

    Raises:
        DataError: if an image cannot be read and `skip_bad` is off, or there are none.
    """
    path, bad = Path(source).expanduser(), BadItems(source=str(source), skip=skip_bad)
    crop = largest_face_crop if faces else center_crop
    names, images = [], []
    with open_members(path, bad) as members:
        image_files = [member for member in members if is_image(member[0])]
        for file, image in convert_members(image_files, bad, lambda _, read: crop(read())):
            names.append(str(file))
            images.append(image)
    if not images:
        raise DataError(f"{source} contains no images that can be read.")
    return UnlabeledImages(
        names=np.array(names, np.str_),
        images=np.array(images, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE),
        skipped=tuple(bad.items),
    )
