"""Exclude images from a dataset: a text file lists their names, one per line."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ferlab.data.dataset import Dataset
from ferlab.errors import DataError

COMMENT = "#"
EXCLUDED_NOTE = "excluded: "  # start of the note that records an exclusion
OLD_EXCLUDED_NOTE = "left out: "  # the same in run folders written by earlier versions


def exclude_images(dataset: Dataset, path: str | Path) -> Dataset:
    """Remove the images listed in a file, and record it in the notes of the dataset.

    Args:
        dataset: any dataset.
        path: a UTF-8 text file with one image name per line, as written by `ferlab audit --write-exclude`. Empty lines
            and comments are ignored. A comment starts with `#` and is not the name of an image.

    Raises:
        DataError: if the file cannot be read or lists an image that is not in the dataset.
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
                f"{path}, line {number}: {dataset.source} has no image '{name}'. A list is only valid for the source "
                "it was made from. Write a new one with: ferlab audit SOURCE --write-exclude FILE"
            )
        kept[positions[name]] = False
    note = f"{EXCLUDED_NOTE}{np.sum(~kept):,} images listed in {Path(path).name}"
    return replace(dataset.where(kept), notes=(*dataset.notes, note))


def notes_mention_exclusion(notes: str) -> bool:
    """Return whether the notes of a dataset, joined into one text, record an exclusion."""
    return EXCLUDED_NOTE in notes or OLD_EXCLUDED_NOTE in notes
