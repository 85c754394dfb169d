"""Decode images of any format to upright, 8-bit RGB pixels."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ferlab.errors import ImageError
from ferlab.images.sources import open_source

if TYPE_CHECKING:
    from PIL import Image

Channels = Literal["rgb", "bgr"]

MAX_PIXELS = 80_000_000  # per file; phone cameras reach 50 million, and Pillow warns above 89 million
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no EPS: decoding it runs Ghostscript
ANIMATED_FORMATS = ("GIF", "PNG", "WEBP", "AVIF")  # in other formats, further frames are previews or pages


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """An image in memory.

    Args:
        pixels: `(H, W, 3)` uint8, RGB.
        size: width and height of the original in pixels; larger than `pixels` for a JPEG that was decoded at reduced
            size.
    """

    pixels: np.ndarray
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """The longer side of the decoded image divided by that of the original: 1, or less."""
        return max(self.pixels.shape[:2]) / max(self.size)


def read_image(source: Any, *, channels: Channels = "rgb", sufficient_side: int | None = None) -> DecodedImage:
    """Read an image.

    Args:
        source: the image, of any kind that `ferlab.images.open_source` accepts. Files are rotated as their EXIF
            orientation says, and transparent pixels become white.
        channels: channel order of an array: `rgb`, or `bgr` as in OpenCV.
        sufficient_side: length of the longer side, in pixels, that the caller needs. A larger JPEG is decoded at 1/2,
            1/4 or 1/8 of its size, which is several times faster.

    Returns:
        The decoded image.

    Raises:
        ImageError: if the image cannot be read, is animated, or has more than 80 million pixels; or if `channels` is
            not valid.
    """
    if channels not in get_args(Channels):
        raise ImageError(f"channels must be one of {', '.join(get_args(Channels))}, got {channels!r}.")
    source = open_source(source)
    if isinstance(source.content, Path):
        return _decode(source.content, source.name, sufficient_side)
    if isinstance(source.content, bytes):
        return _decode(io.BytesIO(source.content), source.name, sufficient_side)
    if isinstance(source.content, np.ndarray):
        pixels = _from_array(source.content, channels)
    else:
        try:
            pixels = _to_rgb(source.content.copy())
        except OSError as error:  # Pillow decodes lazily, and the file is truncated
            raise ImageError(f"{source.name}: {error}") from None
    return DecodedImage(pixels=pixels, size=(pixels.shape[1], pixels.shape[0]))


def _from_array(array: np.ndarray, channels: Channels) -> np.ndarray:
    """Convert an array, as `as_array` returns it, to `(H, W, 3)`, RGB."""
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    colors = array[..., :3] if channels == "rgb" else array[..., 2::-1]
    return np.ascontiguousarray(colors)


def _decode(file: Path | io.BytesIO, name: str, sufficient_side: int | None) -> DecodedImage:
    from PIL import Image

    try:
        if isinstance(file, Path) and file.exists() and not file.is_file():  # such as a pipe, which could block forever
            raise ImageError("not a regular file")
        with Image.open(file, formats=FORMATS) as image:
            _check_header(image)
            size = _upright_size(image)
            if sufficient_side and sufficient_side < max(size):
                width, height = image.size
                share = sufficient_side / max(size)
                image.draft(None, (math.ceil(share * width), math.ceil(share * height)))
            pixels = _to_rgb(image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist.") from None
    except Exception as error:  # on damaged files, decoders raise any kind of exception
        reason = "not an image, or an unsupported format" if "cannot identify" in str(error) else str(error)
        raise ImageError(f"{name}: {reason or type(error).__name__}") from None
    return DecodedImage(pixels=pixels, size=size)


def _upright_size(image: "Image.Image") -> tuple[int, int]:
    """Return the width and height of an image after its EXIF rotation."""
    from PIL import ExifTags

    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation) in range(5, 9)
    return (height, width) if turned else (width, height)


def _check_header(image: "Image.Image") -> None:
    """Reject images that are too large or animated, before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width}x{height} pixels exceed the limit of {MAX_PIXELS:,}")
    if image.format in ANIMATED_FORMATS and getattr(image, "is_animated", False):
        raise ImageError("animated; use `ferlab video` instead")


def _to_rgb(image: "Image.Image") -> np.ndarray:
    """Convert a Pillow image of any mode to upright `(H, W, 3)` uint8, RGB."""
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16-bit gray, stored in 16 or 32 bits
        return _from_array((np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8), "rgb")
    if image.mode == "F":
        raise ImageError("floating-point pixels are not supported, because their range is unknown")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))
