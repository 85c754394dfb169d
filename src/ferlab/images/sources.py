"""What callers pass as an image: paths, URLs, encoded text, bytes, file objects, Pillow images, arrays and tensors."""

import base64
import binascii
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Union
from urllib.parse import unquote_to_bytes

import numpy as np

from ferlab.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

KINDS = "a path, a data URI, base64 text, bytes, a file object, a Pillow image, an array or a tensor"
SHAPES = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or with the channels first"
DEPTHS = (1, 3, 4)  # channels of an array: gray, RGB, RGB with alpha
DARKEST_PHOTO = 32  # below this maximum, floats 0..255 cannot be told from floats 0..1 that exceed their range a little
MIN_BASE64 = 100  # characters; shorter text is a path
MAX_PATH = 4096  # characters; longer text is not a path


class SupportsArray(Protocol):
    """An object that NumPy converts to an array: an array itself, or a tensor of PyTorch, TensorFlow or JAX."""

    def __array__(self) -> np.ndarray: ...


class SupportsRead(Protocol):
    """A binary file object."""

    def read(self) -> bytes: ...


AnyImage = Union[  # Pillow is imported when it is needed
    str, os.PathLike[str], bytes, bytearray, memoryview, SupportsRead, "Image.Image", SupportsArray
]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSource:
    """An image that has not been decoded yet.

    Args:
        name: the path or URL, or a description, for messages and tables.
        content: a file, the bytes of a file, a Pillow image, or an array as `as_array` returns it.
    """

    name: str
    content: "Path | bytes | Image.Image | np.ndarray"

    def __str__(self) -> str:
        return self.name


def open_source(source: Any, *, name: str = "the image", allow_urls: bool = False) -> ImageSource:
    """Tell what kind of object an image is. Downloads URLs and reads file objects, but decodes nothing.

    Args:
        source: a path; an `http` or `https` URL; a data URI; the base64 text of a file; the bytes of a file; a binary
            file object, which is read from its start; a Pillow image; or an array or tensor, see `as_array`.
        name: what to call an image that has no path or URL.
        allow_urls: whether to download URLs. Strings from people you do not trust could then make this computer
            connect to any host that it reaches.

    Raises:
        ImageError: if the object is of another kind, or its content cannot be read.
    """
    if isinstance(source, ImageSource):
        return source
    if isinstance(source, str):
        return _from_text(source, name, allow_urls)
    if isinstance(source, os.PathLike):
        return _from_path(os.fsdecode(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return ImageSource(name=name, content=bytes(source))
    if _is_pillow(source):
        return ImageSource(name=str(getattr(source, "filename", "") or name), content=source)
    if hasattr(source, "read"):
        return _from_file(source, name)
    if hasattr(source, "__array__"):
        return ImageSource(name=name, content=as_array(source))
    raise ImageError(f"An image must be {KINDS}, got {type(source).__name__}.")


def is_url(text: str) -> bool:
    """Return whether text is an `http` or `https` URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def is_one_image(source: Any) -> bool:
    """Return whether an object is to be read as one image rather than as a collection of images."""
    readable = isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(source, "read")
    return readable or hasattr(source, "__array__") or not isinstance(source, Iterable)


def as_array(source: SupportsArray) -> np.ndarray:
    """Convert an array or tensor to 8 bits with the channels last.

    Integers up to 255 are 8-bit values, and larger ones in a uint16 array are 16-bit values. Floats are 0..1 if none
    is above 1, else 0..255; a maximum in between, from 1 to 32, is refused, because it fits neither range.

    Args:
        source: `(H, W)`, `(H, W, 1)`, `(H, W, 3)` or `(H, W, 4)`; or `(1, H, W)`, `(3, H, W)` or `(4, H, W)`, as in
            PyTorch. An object other than an array is converted by its `__array__`.

    Returns:
        `(H, W)`, `(H, W, 1)`, `(H, W, 3)` or `(H, W, 4)` uint8. An array that has this form is returned itself.

    Raises:
        ImageError: if the shape, the dtype or the range of values is another one.
    """
    try:
        array = np.asarray(source)
    except Exception as error:  # such as PyTorch's, which says what to call first
        raise ImageError(f"{type(source).__name__} cannot be converted to an array: {error}") from None
    if array.ndim == 4:
        raise ImageError(f"An array {array.shape} is a batch of images. Pass a list of images: list(batch).")
    if array.ndim == 3 and array.shape[2] not in DEPTHS and array.shape[0] in DEPTHS:
        array = np.moveaxis(array, 0, 2)
    if not array.size or array.ndim not in (2, 3) or array.shape[2:] not in ((), *((depth,) for depth in DEPTHS)):
        raise ImageError(f"An array must be {SHAPES}, got {array.shape} {array.dtype}.")
    return array if array.dtype == np.uint8 else _to_uint8(array)


def _to_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iuf":
        raise ImageError(f"An array must contain integers or floats, got {array.dtype}. Convert it to uint8, 0..255.")
    lowest, highest = float(array.min()), float(array.max())
    floats = array.dtype.kind == "f"
    if lowest >= 0 and highest <= 1 and floats:
        return np.rint(255 * array).astype(np.uint8)
    if lowest >= 0 and highest <= 255 and not (floats and highest < DARKEST_PHOTO):
        return np.rint(array).astype(np.uint8) if floats else array.astype(np.uint8)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    raise ImageError(
        f"The values of the {array.dtype} array, {lowest:g} to {highest:g}, are neither 0..1 nor 0..255. "
        "Undo the normalization, or convert the array to uint8."
    )


def _from_text(text: str, name: str, allow_urls: bool) -> ImageSource:
    if is_url(text):
        if not allow_urls:
            raise ImageError(
                f"{text} is not downloaded. Allow URLs with Predictor(allow_urls=True), but not for text from people "
                "you do not trust."
            )
        from ferlab.images.download import download

        return ImageSource(name=text, content=download(text))
    if text[:5].lower() == "data:" and "," in text:
        return ImageSource(name=name, content=_from_data_uri(text))
    if not os.path.exists(text):  # noqa: PTH110  # unlike Path.exists, it accepts text of any length
        content = _from_base64(text) if len(text) >= MIN_BASE64 else None
        if content is not None:
            return ImageSource(name=name, content=content)
        if len(text) > MAX_PATH:
            raise ImageError(f"The text '{text[:20]}...' of {len(text):,} characters is neither a path nor base64.")
    return _from_path(text)


def _from_path(path: str) -> ImageSource:
    if not path:
        raise ImageError("The path of the image is empty.")
    return ImageSource(name=path, content=Path(path))


def _from_data_uri(text: str) -> bytes:
    """Decode a data URI (https://www.rfc-editor.org/rfc/rfc2397)."""
    header, _, body = text.partition(",")
    if not header.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    content = _from_base64(unquote_to_bytes(body).decode("ascii", "replace"))
    if content is None:
        raise ImageError(f"The data URI '{text[:30]}...' is not valid base64.")
    return content


def _from_base64(text: str) -> bytes | None:
    """Decode base64 text, with or without line breaks and padding, in both alphabets. Returns None for other text."""
    letters = re.sub(r"\s", "", text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _from_file(file: SupportsRead, name: str) -> ImageSource:
    try:
        if getattr(file, "seekable", bool)():
            file.seek(0)  # type: ignore[attr-defined]
        content = file.read()
    except ImageError:
        raise
    except Exception as error:  # a file object may raise anything
        raise ImageError(f"The file object cannot be read: {error}") from None
    if not isinstance(content, bytes):
        raise ImageError(f"A file object must return bytes, got {type(content).__name__}. Open it in binary mode.")
    stated = getattr(file, "name", None)
    return ImageSource(name=stated if isinstance(stated, str) else name, content=content)


def _is_pillow(source: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")  # where it is not loaded, nothing is one of its images
    return pillow is not None and isinstance(source, pillow.Image)
