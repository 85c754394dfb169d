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
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np

from ferlab.csv_files import ENCODING, read_rows
from ferlab.data.archive import Source
from ferlab.data.dataset import IMAGE_SIZE, Dataset, Split
from ferlab.data.fer2013 import USAGES
from ferlab.data.reading import READING_ERRORS, BadItems, open_archive
from ferlab.emotions import EMOTIONS, Target
from ferlab.errors import DataError, reason_of
from ferlab.limits import max_inflated
from ferlab.zip_files import open_member

COLUMNS = ("emotion", "pixels", "usage")
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".csv": open}
NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE


def matches(source: Source) -> bool:
    """Return whether `source` is a CSV file: plain (`.csv`), compressed (`.csv.gz`, `.csv.bz2`, `.csv.xz`) or zipped.

    A zip that also contains images is not matched: its table only describes the images.
    """
    if source.is_zip and not source.images:
        with open_archive(source.path) as archive:
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
            for number, row in enumerate(_rows(file, source.path, bad.source)):
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
            f"{bad.source} cannot be read as a CSV table ({reason_of(error)}). It may be truncated: download it again."
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
        target=Target.FER2013,
    )


@contextmanager
def _open_text(source: Source) -> Iterator[TextIO]:
    path = source.path
    if source.is_zip:
        with open_archive(path) as archive, _as_text(open_member(archive, _table_in(archive))) as file:
            yield file
        return
    with OPENERS[path.suffix.lower()](path, "rt", encoding=ENCODING, newline="") as file:
        yield file


def _table_in(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Find the table with the columns of FER2013; the zip of the challenge also contains other tables."""
    tables = [member for member in archive.infolist() if member.filename.lower().endswith(".csv")]
    tables.sort(key=lambda member: len(member.filename))
    for member in tables:
        with _as_text(open_member(archive, member)) as file:
            if set(COLUMNS) <= set(_header(read_rows(file))):
                return member
    return tables[0]


def _as_text(binary: IO[bytes]) -> TextIO:
    return io.TextIOWrapper(binary, encoding=ENCODING, newline="")


def _header(reader: Iterator[list[str]]) -> list[str]:
    return [name.strip().lower() for name in next(reader, [])]


def _rows(file: TextIO, path: Path, source: str) -> Iterator[tuple[str, str, str]]:
    """Yield emotion, pixels and usage of each row, for any order of the columns."""
    reader = read_rows(file, None if path.suffix.lower() == ".csv" else max_inflated(path.stat().st_size))
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
        values = bytes(map(int, words))  # fast, but Python also takes `1_0` and `+10` for numbers
    except ValueError:
        values = b""
    digits = "".join(words)
    if values and digits.isascii() and digits.isdecimal():
        return values
    wrong = next(word for word in words if not _is_pixel(word))
    raise ValueError(f"pixel value '{wrong[:20]}' is not an integer from 0 to 255")


def _is_pixel(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 10 and int(word) <= 255
