"""Decode images of any format to upright, 8-bit RGB pixels."""

import io
import math
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ferlab.errors import ImageError, reason_of
from ferlab.images.sources import open_source
from ferlab.limits import MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image

Channels = Literal["rgb", "bgr"]

BLOCK = 2**26  # bytes that Pillow allocates at a time; smaller blocks are not given back when a thread is done
STRIP = 2**20  # pixels of a large image that are converted at a time
# Formats of photographs that are recognized by a signature. No EPS: decoding it runs the program in the file. No TGA or
# PCX: almost any file passes as one. The first formats are tried first.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "JPEG2000", "PPM", "TIFF")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # in bytes 8 to 12 of the file
NEW_SUBFILE_TYPE = 254  # tag of TIFF; its lowest bit marks a smaller version of another image in the file
START_OF_SCAN = b"\xff\xda"  # in a JPEG; it does not occur within the data of a scan
MAX_SCANS = 100  # of a progressive JPEG; encoders make about 10
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


def read_image(
    source: Any,
    *,
    channels: Channels = "rgb",
    sufficient_side: int | None = None,
    reserve: Callable[[int], None] = lambda _: None,
    max_pixels: int = MAX_PIXELS,
) -> DecodedImage:
    """Read an image.

    Args:
        source: the image, of any kind that `ferlab.images.open_source` accepts. Files are rotated as their EXIF
            orientation says, and transparent pixels become white.
        channels: channel order of an array: `rgb`, or `bgr` as in OpenCV.
        sufficient_side: length of the longer side, in pixels, that the caller needs. A larger JPEG is decoded at 1/2,
            1/4 or 1/8 of its size, which is several times faster.
        reserve: called with the number of pixels of a file before they are decoded; see `PixelBudget`.
        max_pixels: a file with more pixels is refused before any pixel is decoded.

    Returns:
        The decoded image.

    Raises:
        ImageError: if the image cannot be read, is animated, or has more than `max_pixels`; or if `channels` is not
            valid.
    """
    if channels not in get_args(Channels):
        raise ImageError(f"channels must be one of {', '.join(get_args(Channels))}, got {channels!r}.")
    source = open_source(source)
    if isinstance(source.content, Path):
        return _decode(source.content, source.name, sufficient_side, reserve, max_pixels)
    if isinstance(source.content, bytes):
        return _decode(io.BytesIO(source.content), source.name, sufficient_side, reserve, max_pixels)
    if isinstance(source.content, np.ndarray):
        pixels = _from_array(source.content, channels)
    else:
        try:
            pixels = _to_rgb(source.content.copy())
        except ImageError as error:
            raise ImageError(f"{source.name}: {error}") from None
        except Exception as error:  # Pillow decodes lazily, and the file is damaged
            raise ImageError(f"{source.name}: {reason_of(error)}") from None
    return DecodedImage(pixels=pixels, size=(pixels.shape[1], pixels.shape[0]))


def _from_array(array: np.ndarray, channels: Channels) -> np.ndarray:
    """Convert an array, as `as_array` returns it, to `(H, W, 3)`, RGB. Transparent pixels become white."""
    depth = array.shape[2] if array.ndim == 3 else 1
    if depth == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if channels == "bgr":
        array = array[..., (2, 1, 0, 3)[:depth]]
    if depth == 4:
        from PIL import Image

        return _on_white(Image.fromarray(np.ascontiguousarray(array)))
    return np.ascontiguousarray(array)


def _decode(
    file: Path | io.BytesIO, name: str, sufficient_side: int | None, reserve: Callable[[int], None], max_pixels: int
) -> DecodedImage:
    try:
        return decode_file(file, sufficient_side=sufficient_side, reserve=reserve, max_pixels=max_pixels)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None


def decode_file(
    file: Path | io.BytesIO,
    *,
    sufficient_side: int | None = None,
    reserve: Callable[[int], None] = lambda _: None,
    max_pixels: int = MAX_PIXELS,
) -> DecodedImage:
    """Decode an image file. Arguments and result are those of `read_image`.

    Raises:
        ImageError: with the reason, but without the name of the file.
    """
    try:
        if isinstance(file, Path):
            _check_path(file)
        with closing(_open(file)) as image:  # frees the pixels; `with image` only closes the file
            _check_header(image, max_pixels)
            width, height = image.size
            progressive = "progressive" in image.info
            if progressive:
                _check_scans(file)
            if sufficient_side and sufficient_side < max(width, height):
                share = sufficient_side / max(width, height)
                image.draft(None, (math.ceil(share * width), math.ceil(share * height)))
            reserve(width * height if progressive else image.width * image.height)  # its coefficients are all kept
            stored = image.size
            pixels = _to_rgb(image)
            turned = pixels.shape[1::-1] != stored  # by its EXIF rotation, which Pillow applies to the size of a TIFF
            size = (height, width) if turned else (width, height)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError("the file does not exist") from None
    except Exception as error:  # on damaged files, decoders raise any kind of exception
        raise ImageError(reason_of(error)) from None
    return DecodedImage(pixels=pixels, size=size)


def _check_scans(file: Path | io.BytesIO) -> None:
    """Reject a progressive JPEG with so many scans that it takes minutes: each is a pass over the whole image."""
    content = file.getvalue() if isinstance(file, io.BytesIO) else file.read_bytes()
    if (scans := content.count(START_OF_SCAN)) > MAX_SCANS:
        raise ImageError(f"a progressive JPEG with {scans:,} scans: more than the limit of {MAX_SCANS}")


def _check_path(path: Path) -> None:
    """Reject what is not a file: links without a target, folders, and pipes, which could block forever."""
    if path.is_dir():
        os.scandir(path).close()  # raises the reason if the folder cannot be read
        raise ImageError("a folder, not an image")
    if path.is_symlink() and not path.exists():
        raise ImageError(f"a link to {path.readlink()}, which does not exist")
    if path.exists() and not path.is_file():
        raise ImageError("not a regular file")


def _open(file: Path | io.BytesIO) -> "Image.Image":
    """Read the header of an image file."""
    from PIL import Image, UnidentifiedImageError

    Image.core.set_block_size(BLOCK)
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        begin = _first_bytes(file)
        if not begin:
            raise ImageError("the file is empty (0 bytes)") from None
        if begin[4:8] != b"ftyp" or begin[8:12] not in HEIF_BRANDS:
            supported = ", ".join(FORMATS)
            raise ImageError(f"not an image, or an unsupported format (supported: {supported} and HEIC)") from None
    _register_heif()
    return Image.open(file, formats=("HEIF",))


def _first_bytes(file: Path | io.BytesIO) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:12]
    with open(file, "rb") as opened:
        return opened.read(12)


def _register_heif() -> None:
    """Add HEIC, the format of iPhones, to the formats that Pillow opens.

    Raises:
        ImageError: if the package pillow-heif is not installed.
    """
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("reading HEIC needs the package pillow-heif: pip install 'ferlab[heic]'") from None
    pillow_heif.register_heif_opener()


def _check_header(image: "Image.Image", max_pixels: int) -> None:
    """Reject images before any pixel is decoded: too large, animated, or only the preview of a camera's raw file."""
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{width}x{height} pixels exceed the limit of {max_pixels:,}")
    if image.format in ANIMATED_FORMATS and getattr(image, "is_animated", False):
        raise ImageError("animated; use `ferlab video` instead")
    if image.format == "TIFF" and image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & 1:  # type: ignore[attr-defined]
        raise ImageError("a raw file of a camera, of which only a small preview can be read; convert it to JPEG")


def _to_rgb(image: "Image.Image") -> np.ndarray:
    """Convert a Pillow image of any mode to upright `(H, W, 3)` uint8, RGB.

    A large image is converted in strips, because Pillow needs 4 bytes per pixel for each step of a conversion.
    """
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    width, height = image.size
    rows = max(1, STRIP // max(1, width))
    if height <= rows:
        return _strip_to_rgb(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        pixels[top:bottom] = _strip_to_rgb(image.crop((0, top, width, bottom)))
    return pixels


def _strip_to_rgb(image: "Image.Image") -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit gray, stored in 16 or 32 bits
        return _from_array(_eight_bits(np.asarray(image)), "rgb")
    if image.mode == "L" and not image.has_transparency_data:
        return _from_array(np.asarray(image), "rgb")  # several times faster than Pillow's conversion of small images
    if image.mode == "F":
        raise ImageError("floating-point pixels are not supported, because their range is unknown")
    try:
        return _on_white(image.convert("RGBA")) if image.has_transparency_data else np.asarray(image.convert("RGB"))
    except ValueError as error:  # such as the mode LAB
        raise ImageError(str(error)) from None


def _on_white(image: "Image.Image") -> np.ndarray:
    """Replace the transparency of an RGBA image by a white background. Returns `(H, W, 3)` uint8."""
    from PIL import Image

    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    """Convert pixels 0..65535 to uint8, as Pillow does with colors of 16 bits."""
    if array.min() < 0 or array.max() > 65535:
        raise ImageError("32-bit pixels are not supported, because their range is unknown")
    return (array >> 8).astype(np.uint8)
