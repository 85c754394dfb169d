"""Images without labels: a folder or a zip with image files and no class folders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferlab.data.archive import convert_members, open_data
from ferlab.data.dataset import IMAGE_SIZE
from ferlab.data.faces import Cropper
from ferlab.data.reading import BadItems
from ferlab.errors import DataError
from ferlab.files import exists
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
    if not exists(path):
        return False
    with open_data(path) as opened:
        return len({file.parent for file, _ in opened.images}) == 1


def load_unlabeled(source: str | Path, *, faces: bool = False, skip_bad: bool = False) -> UnlabeledImages:
    """Load images without labels, sorted by path.

    Args:
        source: a folder or zip.
        faces: crop the largest face of each image; otherwise the middle square.
        skip_bad: skip images that cannot be read.

    Raises:
        DataError: if an image cannot be read and `skip_bad` is off, or there are none.
        DetectorError: if the face detector is not available.
    """
    bad, cropper = BadItems(source=str(source), skip=skip_bad), Cropper.open(faces=faces)
    names, images = [], []
    with open_data(Path(source).expanduser()) as opened:
        bad.report_all(opened.problems)
        for file, image in convert_members(opened.images, bad, lambda _, read: cropper.crop(read())):
            names.append(str(file))
            images.append(image)
    if not images:
        raise DataError(f"{source} contains no images that can be read.")
    return UnlabeledImages(
        names=np.array(names, np.str_),
        images=np.array(images, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE),
        skipped=tuple(bad.items),
    )
