"""Pictures of any kind, made into one: upright, RGB, 8 bits."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ferlab.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

Channels = Literal["rgb", "bgr"]

MAX_PIXELS = 80_000_000  # of a file: a telephone's largest have 50 million, and Pillow warns above 89
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # EPS would run programs
MOVING = ("GIF", "PNG", "WEBP", "AVIF")  # formats of one picture or many; others hold previews, not films
FORM = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16"


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """A picture in memory.

    Attributes:
        pixels: `(H, W, 3)` uint8, RGB.
        scale: pixels here for each pixel of the original along a side: 1, or less where a file was decoded smaller.
    """

    pixels: np.ndarray
    scale: float = 1.0


def read_image(source: Any, *, channels: Channels = "rgb", sufficient_side: int | None = None) -> DecodedImage:
    """Reads a picture.

    Args:
        source: a path; a file's bytes; a Pillow image; or an array `(H, W)`, `(H, W, 1)`, `(H, W, 3)` or `(H, W, 4)`,
            uint8 or uint16. Files are turned upright, as their EXIF says; what is transparent becomes white.
        channels: the order of colors in an array: `rgb`, or `bgr` as OpenCV has them.
        sufficient_side: pixels of the longer side that suffice: a larger JPEG is decoded at 1/2, 1/4 or 1/8 of its
            size, which is several times as fast.

    Returns:
        The picture.

    Raises:
        ImageError: with the reason, if it cannot be read, moves, or has more than 80 million pixels; or if `channels`
            is neither.
    """
    if channels not in get_args(Channels):
        raise ImageError(f"channels must be one of {', '.join(get_args(Channels))}, not {channels!r}.")
    if isinstance(source, np.ndarray):
        return DecodedImage(pixels=_from_array(source, channels))
    if isinstance(source, str | Path):
        return _decoded(Path(source), str(source), sufficient_side)
    if isinstance(source, bytes):
        return _decoded(io.BytesIO(source), "the picture", sufficient_side)
    if _is_pillow(source):
        try:
            return DecodedImage(pixels=_upright(source.copy()))
        except OSError as error:  # it was opened, and its file is cut short
            raise ImageError(f"the picture: {error}") from None
    raise ImageError(f"A picture must be a path, bytes, a Pillow image or an array, not {type(source).__name__}.")


def _from_array(array: np.ndarray, channels: Channels) -> np.ndarray:
    depth = array.shape[2] if array.ndim == 3 else 1
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or not array.size or depth not in (1, 3, 4):
        raise ImageError(f"An array must be {FORM}, not {array.shape} {array.dtype}.")
    if array.dtype == np.uint16:
        array = (array // 257).astype(np.uint8)
    if depth == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    colors = array[..., :3] if channels == "rgb" else array[..., 2::-1]
    return np.ascontiguousarray(colors)


def _decoded(file: Path | io.BytesIO, name: str, sufficient_side: int | None) -> DecodedImage:
    from PIL import Image

    try:
        if isinstance(file, Path) and file.exists() and not file.is_file():  # such as a pipe, which may never end
            raise ImageError("it is no file")
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            _refuse(image)
            if sufficient_side and sufficient_side < max(width, height):
                share = sufficient_side / max(width, height)
                image.draft(None, (math.ceil(share * width), math.ceil(share * height)))
            pixels = _upright(image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist.") from None
    except Exception as error:  # decoders of damaged files raise whatever they come across
        reason = "it is no picture, or of no known kind" if "cannot identify" in str(error) else str(error)
        raise ImageError(f"{name}: {reason or type(error).__name__}") from None
    return DecodedImage(pixels=pixels, scale=max(pixels.shape[:2]) / max(width, height))


def _refuse(image: "Image.Image") -> None:
    """Judges by the header alone, before anything is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"it has {width}x{height} pixels, and at most {MAX_PIXELS:,} are read")
    if image.format in MOVING and getattr(image, "is_animated", False):
        raise ImageError("it moves: give it to `ferlab video`")


def _upright(image: "Image.Image") -> np.ndarray:
    """`(H, W, 3)` uint8 of a Pillow image of any mode."""
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bits, or 16 bits held in 32
        return _from_array((np.clip(np.asarray(image), 0, 65535)).astype(np.uint16), "rgb")
    if image.mode == "F":
        raise ImageError("its pixels are floating-point numbers, whose range nobody tells")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _is_pillow(source: Any) -> bool:
    from PIL import Image

    return isinstance(source, Image.Image)
