"""Leaving images out of a data set: a text file with their names, a line each."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ferlab.data.dataset import Dataset
from ferlab.errors import DataError

COMMENT = "#"
EXCLUDED_NOTE = "left out"  # by which a note tells that images were


def exclude_images(dataset: Dataset, path: str | Path) -> Dataset:
    """Leaves out the images that a file names, and notes it.

    Args:
        dataset: any.
        path: UTF-8 text with a name a line, as `ferlab audit --write-exclude` writes it. Empty lines are skipped, and
            those that begin with `#` and are no image's name.

    Raises:
        DataError: if the file cannot be read, or names an image that the data set does not have.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of images: {error}.") from None
    positions = {str(name): index for index, name in enumerate(dataset.names)}
    kept = np.ones(len(dataset), bool)
    for number, line in enumerate(lines, start=1):
        name = line if line in positions else line.strip()
        if name not in positions and (not name or name.startswith(COMMENT)):
            continue
        if name not in positions:
            raise DataError(
                f"{path}, line {number}: {dataset.source} has no image '{name}'. A list fits the source that it was "
                "made from: write it again with ferlab audit SOURCE --write-exclude FILE."
            )
        kept[positions[name]] = False
    note = f"{EXCLUDED_NOTE}: {np.sum(~kept):,} images listed in {Path(path).name}"
    return replace(dataset.where(kept), notes=(*dataset.notes, note))
