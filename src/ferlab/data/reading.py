"""What every data format shares: decoding one picture, and what to do with a bad one."""

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

# What files that are damaged, encrypted, or packed by a method that Python lacks, raise when they are read.
READING_ERRORS = (OSError, EOFError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
JPEG_BEGIN, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


@dataclass(kw_only=True)
class BadItems:
    """Raises on the first bad item, or collects them all where the user asked to skip them."""

    source: str
    skip: bool
    items: list[Skipped] = field(default_factory=list)

    def report(self, name: str, reason: str) -> None:
        """Takes note of one bad item.

        Raises:
            DataError: unless bad items are to be skipped.
        """
        if not self.skip:
            raise DataError(
                f"{self.source}: {name}: {reason}. Repair or remove it, or leave such items out with --skip-bad."
            )
        self.items.append(Skipped(name=name, reason=reason))


def decode(content: bytes) -> np.ndarray:
    """Decodes a picture of any format that OpenCV reads, upright as its EXIF says, into `(H, W)` uint8 gray.

    Raises:
        ValueError: with the reason, if it is empty, cut short or undecodable.
    """
    if not content:
        raise ValueError("the file is empty (0 bytes)")
    if content.startswith(JPEG_BEGIN) and _is_cut_short(content):
        raise ValueError("the JPEG is cut short")  # OpenCV would fill the rest with gray, and say nothing
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # such as a header that claims more pixels than OpenCV allows
        image = None
    if image is None:
        raise ValueError("it cannot be decoded as an image")
    return image


def _is_cut_short(jpeg: bytes) -> bool:
    """Whether the end mark is missing after the header, whose thumbnail has an end mark of its own.

    It need not be the end of the file: telephones put films and further pictures behind it.
    """
    position = len(JPEG_BEGIN)
    while jpeg[position : position + 1] == b"\xff" and jpeg[position : position + 2] != JPEG_SCAN:
        is_filler = jpeg[position + 1 : position + 2] == b"\xff"
        position += 1 if is_filler else 2 + int.from_bytes(jpeg[position + 2 : position + 4])  # the segment's length
    return jpeg.find(JPEG_END, position) < 0


def decode_face(content: bytes) -> np.ndarray:
    """Decodes one picture of FER2013 into `(48, 48)` uint8 gray.

    Raises:
        ValueError: with the reason, if it cannot be decoded or is of another size.
    """
    image = decode(content)
    if image.shape != (IMAGE_SIZE, IMAGE_SIZE):
        height, width = image.shape
        raise ValueError(f"it is {width}x{height} pixels, and FER2013 images are {IMAGE_SIZE}x{IMAGE_SIZE}")
    return image


def emotion_label(name: str) -> int:
    """The label of a class folder.

    Raises:
        ValueError: if it is no class of FER2013.
    """
    if name.lower() not in EMOTIONS:
        raise ValueError(f"unknown class folder '{name}' (known: {', '.join(EMOTIONS)})")
    return EMOTIONS.index(name.lower())


def open_zip(path: Path) -> zipfile.ZipFile:
    """Opens a zip for reading in place.

    Raises:
        DataError: if it is no complete zip.
    """
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not a complete zip archive ({error}). It may be cut short: fetch it again."
        ) from None
