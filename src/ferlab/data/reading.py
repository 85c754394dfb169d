"""Code shared by all data formats: decode an image, open a zip, and handle bad items."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Skipped
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError, reason_of
from ferlab.images.crop import resize_crop
from ferlab.images.decode import decode_file
from ferlab.limits import MAX_BAD_ITEMS
from ferlab.zip_files import open_zip

# Raised when reading files that are damaged, encrypted, or compressed with a method that Python does not support.
READING_ERRORS = (
    *(OSError, EOFError, RuntimeError, MemoryError, UnicodeDecodeError, struct.error),
    *(lzma.LZMAError, zlib.error, zipfile.BadZipFile),
)


@dataclass(kw_only=True)
class BadItems:
    """Raises at the first bad item, or collects bad items if the user asked to skip them."""

    source: str
    skip: bool
    items: list[Skipped] = field(default_factory=list)

    def report(self, name: str, reason: str) -> None:
        """Record a bad item.

        Raises:
            DataError: unless bad items are skipped, or if there are too many of them.
        """
        if not self.skip:
            raise DataError(f"{self.source}: {name}: {reason}. Repair or remove it, or skip bad items with --skip-bad.")
        if len(self.items) == MAX_BAD_ITEMS:
            raise DataError(f"{self.source} has more than {MAX_BAD_ITEMS:,} bad items, the last one {name}: {reason}.")
        self.items.append(Skipped(name=name, reason=reason))

    def report_all(self, items: Iterable[Skipped]) -> None:
        """Record several bad items, as `report` does."""
        for item in items:
            self.report(item.name, item.reason)


def decode_face(content: bytes) -> np.ndarray:
    """Decode an image of FER2013 to `(48, 48)` uint8, grayscale.

    Raises:
        ImageError: with the reason, if it cannot be decoded.
        ValueError: with the reason, if it has another size.
    """
    image = decode_file(io.BytesIO(content)).pixels
    height, width = image.shape[:2]
    if (height, width) != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"the image has {width}x{height} pixels, expected {IMAGE_SIZE}x{IMAGE_SIZE}")
    return resize_crop(image)


def emotion_label(name: str) -> int:
    """Return the label of a class folder of FER2013.

    Raises:
        ValueError: if FER2013 has no such class.
    """
    if name.lower() not in EMOTIONS:
        raise ValueError(f"unknown class folder '{name}' (expected: {', '.join(EMOTIONS)})")
    return EMOTIONS.index(name.lower())


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip for reading in place.

    Raises:
        DataError: if it is not a complete zip.
    """
    try:
        return open_zip(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason_of(error)}.") from None
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not a complete zip archive ({reason_of(error)}). It may be truncated: download it again."
        ) from None
