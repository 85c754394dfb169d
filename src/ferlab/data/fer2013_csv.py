"""FER2013 as a table: `fer2013.csv` (emotion, pixels, Usage) or `icml_face_data.csv`, plain or compressed.

`icml_face_data.csv` has the same rows, with its columns in another order and spaces before their names.
"""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO

import numpy as np

from ferlab.data.archive import Source
from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.fer2013 import USAGES
from ferlab.data.reading import READING_ERRORS, BadItems, open_zip
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError

COLUMNS = ("emotion", "pixels", "usage")
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".csv": open}
ENCODING = "utf-8-sig"  # with or without the byte order mark that spreadsheets write
NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE


def matches(source: Source) -> bool:
    """Return whether `source` is a CSV file: plain (`.csv`), compressed (`.csv.gz`, `.csv.bz2`, `.csv.xz`) or zipped.

    A zip that also contains images is not matched: its table only describes the images.
    """
    if source.is_zip and not source.images:
        with open_zip(source.path) as archive:
            return any(name.lower().endswith(".csv") for name in archive.namelist())
    if source.is_container:
        return False
    suffixes = [suffix.lower() for suffix in source.path.suffixes[-2:]]
    return ".csv" in suffixes and suffixes[-1] in OPENERS


def load(source: Source, bad: BadItems) -> Dataset:
    """Load the table. Images are named `row <number>`, counted from 0 as in FER+.

    Raises:
        DataError: if the table has another format, or at the first bad row unless bad items are skipped.
    """
    images, labels, splits, names = [], [], [], []
    try:
        with _open_text(source) as file:
            for number, row in enumerate(_rows(file, bad.source)):
                try:
                    label, pixels, split = _parse(*row)
                except ValueError as error:
                    bad.report(f"row {number} (line {number + 2})", str(error))
                    continue
                images.append(pixels)
                labels.append(label)
                splits.append(split)
                names.append(f"row {number}")
    except (UnicodeDecodeError, csv.Error, *READING_ERRORS) as error:
        raise DataError(
            f"{bad.source} cannot be read as a CSV table ({error}). It may be truncated: download it again."
        ) from None
    if not images:
        raise DataError(f"{bad.source} contains no images: the table has no usable rows. Download it again.")
    return Dataset(
        images=np.frombuffer(b"".join(images), np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE),
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        names=np.array(names),
        class_names=EMOTIONS,
        source=bad.source,
        skipped=tuple(bad.items),
    )


@contextmanager
def _open_text(source: Source) -> Iterator[TextIO]:
    path = source.path
    if source.is_zip:
        with open_zip(path) as archive, archive.open(_table_in(archive)) as binary, _as_text(binary) as file:
            yield file
        return
    with OPENERS[path.suffix.lower()](path, "rt", encoding=ENCODING, newline="") as file:
        yield file


def _table_in(archive: zipfile.ZipFile) -> str:
    """Find the table with the columns of FER2013; the zip of the challenge also contains other tables."""
    names = sorted((name for name in archive.namelist() if name.lower().endswith(".csv")), key=len)
    for name in names:
        with archive.open(name) as binary, _as_text(binary) as file:
            if set(COLUMNS) <= set(_header(csv.reader(file))):
                return name
    return names[0]


def _as_text(binary: IO[bytes]) -> TextIO:
    return io.TextIOWrapper(binary, encoding=ENCODING, newline="")


def _header(reader: Iterator[list[str]]) -> list[str]:
    return [name.strip().lower() for name in next(reader, [])]


def _rows(file: TextIO, source: str) -> Iterator[tuple[str, str, str]]:
    """Yield emotion, pixels and usage of each row, for any order of the columns."""
    reader = csv.reader(file)
    header = _header(reader)
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DataError(f"{source}: missing column {missing[0]!r}. The columns must be emotion, pixels and Usage.")
    indices = [header.index(name) for name in COLUMNS]
    for row in reader:
        if row:
            emotion, pixels, usage = (row[index] if index < len(row) else "" for index in indices)
            yield emotion, pixels, usage


def _parse(emotion: str, pixels: str, usage: str) -> tuple[int, bytes, Split]:
    if emotion.strip() not in {str(code) for code in range(len(EMOTIONS))}:
        raise ValueError(f"unknown emotion code '{emotion[:20]}' (expected: 0 to {len(EMOTIONS) - 1})")
    if usage.strip() not in USAGES:
        raise ValueError(f"unknown Usage '{usage[:20]}' (expected: {', '.join(USAGES)})")
    words = pixels.split()
    if len(words) != NUM_PIXELS:
        raise ValueError(f"{len(words):,} pixels, expected {NUM_PIXELS:,} ({IMAGE_SIZE}x{IMAGE_SIZE})")
    return int(emotion), _pixel_bytes(words), USAGES[usage.strip()]


def _pixel_bytes(words: list[str]) -> bytes:
    try:
        return bytes(map(int, words))  # fast check of all pixels; the search below only finds the one to report
    except ValueError:
        wrong = next(word for word in words if not (word.isdecimal() and int(word) <= 255))
        raise ValueError(f"pixel value '{wrong[:20]}' is not an integer from 0 to 255") from None
