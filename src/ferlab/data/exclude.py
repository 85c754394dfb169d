"""Exclude images from a dataset: a text file lists their names, one per line."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferlab.data.dataset import Dataset
from ferlab.errors import DataError, reason_of
from ferlab.files import read_file, shown
from ferlab.limits import MAX_TEXT_BYTES

COMMENT = "#"
EXCLUDED_NOTE = "excluded: "  # start of the note that records an exclusion
OLD_EXCLUDED_NOTE = "left out: "  # the same in run folders written by earlier versions


def exclude_images(dataset: Dataset, path: str | Path) -> Dataset:
    """Remove the images listed in a file, and record it in the notes of the dataset.

    Args:
        dataset: any dataset.
        path: a UTF-8 text file with one image name per line, as written by `ferlab audit --write-exclude`. Empty lines
            and comments are ignored. A comment starts with `#` and is not the name of an image. A name that contains a
            line break is written as a JSON string.

    Raises:
        DataError: if the file cannot be read or lists an image that is not in the dataset.
    """
    try:
        lines = read_file(Path(path), MAX_TEXT_BYTES).decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of images: {reason_of(error)}.") from None
    positions = {str(name): index for index, name in enumerate(dataset.names)}
    listed = np.zeros(len(dataset), bool)
    for number, line in enumerate(lines, start=1):
        name = _name_in(line, positions)
        if name is None:
            continue
        if name not in positions:
            raise DataError(
                f"{path}, line {number}: {dataset.source} has no image {shown(name)!r}. A list is only valid for the "
                "source it was made from. Write a new one with: ferlab audit SOURCE --write-exclude FILE"
            )
        listed[positions[name]] = True
    return dataset.omit(listed, f"{EXCLUDED_NOTE}{np.sum(listed):,} images listed in {Path(path).name}")


def line_of(name: str) -> str:
    """Return the line that lists an image. Names with a line break, which only zips contain, become JSON strings."""
    return json.dumps(name) if "\n" in name or "\r" in name else name


def _name_in(line: str, positions: Mapping[str, int]) -> str | None:
    """Return the name in a line, which may not be in the dataset; None for an empty line or a comment."""
    line = line.removesuffix("\r")
    for name in (line, line.strip(), _decoded(line)):
        if name in positions:
            return name
    name = line.strip()
    return None if not name or name.startswith(COMMENT) else name


def _decoded(line: str) -> str:
    """Return the name in a JSON string; other lines as they are."""
    try:
        return str(json.loads(line)) if line.startswith('"') else line
    except ValueError:
        return line


def notes_mention_exclusion(notes: str) -> bool:
    """Return whether the notes of a dataset, joined into one text, record an exclusion."""
    return EXCLUDED_NOTE in notes or OLD_EXCLUDED_NOTE in notes
