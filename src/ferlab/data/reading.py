"""Code shared by all data formats: decode an image, open a zip, and handle bad items."""

import lzma
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Skipped
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError

# Raised when reading files that are damaged, encrypted, or compressed with a method that Python does not support.
READING_ERRORS = (OSError, EOFError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
JPEG_BEGIN, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


@dataclass(kw_only=True)
class BadItems:
    """Raises at the first bad item, or collects bad items if the user asked to skip them."""

    source: str
    skip: bool
    items: list[Skipped] = field(default_factory=list)

    def report(self, name: str, reason: str) -> None:
        """Record a bad item.

        Raises:
            DataError: unless bad items are skipped.
        """
        if not self.skip:
            raise DataError(f"{self.source}: {name}: {reason}. Repair or remove it, or skip bad items with --skip-bad.")
        self.items.append(Skipped(name=name, reason=reason))


def decode(content: bytes) -> np.ndarray:
    """Decode an image of any format that OpenCV supports to grayscale, with its EXIF orientation applied.

    Args:
        content: the content of the image file.

    Returns:
        The image, `(H, W)` uint8.

    Raises:
        ValueError: with the reason, if the content is empty, truncated or not an image.
    """
    if not content:
        raise ValueError("the file is empty (0 bytes)")
    if content.startswith(JPEG_BEGIN) and _is_truncated(content):
        raise ValueError("the JPEG is truncated")  # OpenCV would silently fill the missing part with gray
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # such as a header that claims more pixels than OpenCV allows
        image = None
    if image is None:
        raise ValueError("the file cannot be decoded as an image")
    return image


def _is_truncated(jpeg: bytes) -> bool:
    """Return whether a JPEG lacks its end marker.

    The header is skipped, because an embedded thumbnail has its own end marker. It need not be at the end of the file:
    phones append videos and further images.
    """
    position = len(JPEG_BEGIN)
    while jpeg[position : position + 1] == b"\xff" and jpeg[position : position + 2] != JPEG_SCAN:
        is_padding = jpeg[position + 1 : position + 2] == b"\xff"
        position += 1 if is_padding else 2 + int.from_bytes(jpeg[position + 2 : position + 4])  # length of the segment
    return jpeg.find(JPEG_END, position) < 0


def decode_face(content: bytes) -> np.ndarray:
    """Decode an image of FER2013 to `(48, 48)` uint8, grayscale.

    Raises:
        ValueError: with the reason, if it cannot be decoded or has another size.
    """
    image = decode(content)
    if image.shape != (IMAGE_SIZE, IMAGE_SIZE):
        height, width = image.shape
        raise ValueError(f"the image has {width}x{height} pixels, expected {IMAGE_SIZE}x{IMAGE_SIZE}")
    return image


def emotion_label(name: str) -> int:
    """Return the label of a class folder of FER2013.

    Raises:
        ValueError: if FER2013 has no such class.
    """
    if name.lower() not in EMOTIONS:
        raise ValueError(f"unknown class folder '{name}' (expected: {', '.join(EMOTIONS)})")
    return EMOTIONS.index(name.lower())


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip for reading in place.

    Raises:
        DataError: if it is not a complete zip.
    """
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not a complete zip archive ({error}). It may be truncated: download it again."
        ) from None
