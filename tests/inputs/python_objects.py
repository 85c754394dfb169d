"""What the Python interface accepts as an image."""

import base64
import functools
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ferlab import Predictor
from ferlab.errors import FerlabError
from tests.inputs.case import InputCase
from tests.scenes import encoded

GROUP = "Python objects"
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)


class Tensor:
    """An object with nothing but the method through which tensors become arrays."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


class Pipe(io.RawIOBase):
    """A binary file object that cannot seek."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int = -1) -> bytes:
        content, self.content = self.content, b""
        return content


@functools.cache
def predictor(**options: Any) -> Predictor:
    return Predictor(detector="none", **options)


def photo(folder: Path) -> Path:
    (folder / "photo.png").write_bytes(encoded(PIXELS))
    return folder / "photo.png"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder. Yields the URL of the photo."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/photo.png"
        server.shutdown()


def accepted(name: str, build: Callable[[Path], Any], result: str = "Read.", channels: Any = "rgb") -> InputCase:
    """An input that gives the same faces as the photo itself."""

    def check(folder: Path) -> None:
        prediction = predictor().predict(build(folder), channels=channels)
        assert prediction.faces == predictor().predict(PIXELS).faces

    return InputCase(group=GROUP, input=name, result=result, check=check)


def refused(name: str, build: Callable[[Path], Any], result: str, message: str) -> InputCase:
    """An input that is an error."""

    def check(folder: Path) -> None:
        with pytest.raises(FerlabError, match=message):
            predictor().predict(build(folder))

    return InputCase(group=GROUP, input=name, result=result, check=check)


def several(name: str, build: Callable[[Path], Any], result: str) -> InputCase:
    """A collection of three images."""

    def check(folder: Path) -> None:
        predictions = predictor().predict(build(folder))
        assert isinstance(predictions, list)
        assert [len(prediction) for prediction in predictions] == [1, 1, 1]

    return InputCase(group=GROUP, input=name, result=result, check=check)


def case(name: str, result: str) -> Callable[[Callable[[Path], None]], InputCase]:
    """Turn a check into a case."""
    return lambda check: InputCase(group=GROUP, input=name, result=result, check=check)


@case("An `http` or `https` URL", "Refused, unless `Predictor(allow_urls=True)`.")
def url(folder: Path) -> None:
    photo(folder)
    with served(folder) as address:
        with pytest.raises(FerlabError, match="allow_urls=True"):
            predictor().predict(address)
        assert predictor(allow_urls=True).predict(address).faces == predictor().predict(PIXELS).faces


@case("A gray array `(H, W)` or `(H, W, 1)`", "Read.")
def gray(_: Path) -> None:
    flat = PIXELS[..., 0]
    expected = predictor().predict(np.stack([flat] * 3, axis=2)).faces
    for array in (flat, flat[..., None]):
        assert predictor().predict(array).faces == expected


@case("Images one after the other, with `stream=True`", "Each prediction is given before the next image is read.")
def stream(_: Path) -> None:
    images = iter([PIXELS, PIXELS])
    predictions = predictor().predict(images, stream=True)
    assert len(next(predictions)) == 1
    assert next(images) is PIXELS


@case("A list of face crops for `classify`", "One classification each.")
def crops(_: Path) -> None:
    assert len(predictor().classify([PIXELS, PIXELS[..., 0], PIXELS / 255])) == 3


@case("One array for `classify`", "Refused, because it could be one crop or many: pass `[crop]` or `list(crops)`.")
def one_crop(_: Path) -> None:
    with pytest.raises(FerlabError, match="Crops must be a list"):
        predictor().classify(PIXELS)


def base64_text(folder: Path) -> str:
    return base64.b64encode(photo(folder).read_bytes()).decode()


def at_its_end(folder: Path) -> io.BytesIO:
    file = io.BytesIO(photo(folder).read_bytes())
    file.seek(0, io.SEEK_END)
    return file


CASES = [
    accepted("A path as `Path` or another `PathLike`", photo),
    accepted("A path as `str`", lambda folder: str(photo(folder))),
    refused("A folder", lambda folder: folder, "Refused: pass the images in it.", "folder|regular file"),
    refused("A path that does not exist", lambda folder: folder / "x.jpg", "Refused.", "does not exist"),
    url,
    accepted("A data URI", lambda folder: f"data:image/png;base64,{base64_text(folder)}"),
    accepted("Base64 text of at least 100 characters", base64_text, "Read, if no file has this name."),
    accepted("`bytes`, `bytearray`, `memoryview`", lambda folder: bytearray(photo(folder).read_bytes())),
    accepted("A binary file object, such as an upload", at_its_end, "Read from its start."),
    accepted("A pipe or socket", lambda folder: Pipe(photo(folder).read_bytes()), "Read from where it stands."),
    refused(
        "A file object in text mode", lambda _: io.StringIO("x"), "Refused: open it in binary mode.", "binary mode"
    ),
    accepted("A Pillow image", lambda _: Image.fromarray(PIXELS)),
    accepted("An array `(H, W, 3)`", lambda _: PIXELS, "Read as RGB."),
    accepted(
        "An array from OpenCV",
        lambda _: PIXELS[..., ::-1],
        'Read with `channels="bgr"`.',
        channels="bgr",
    ),
    gray,
    accepted(
        "An array with the channels first, `(3, H, W)`",
        lambda _: np.moveaxis(PIXELS, 2, 0),
        "Read, as PyTorch has them; if the last axis also has 1, 3 or 4 entries, that one is the channels.",
    ),
    accepted("A float array, 0..1", lambda _: PIXELS / np.float32(255)),
    accepted("A float array, 0..255", lambda _: PIXELS.astype(np.float32), "Read, if its maximum is 32 or more."),
    refused(
        "A float array in another range, such as -1..1 or 0..1.04",
        lambda _: PIXELS / 245,
        "Refused: its range is not clear.",
        "neither 0..1 nor 0..255",
    ),
    accepted("An integer array, 0..255", lambda _: PIXELS.astype(np.int64)),
    accepted("A `uint16` array, 0..65535", lambda _: PIXELS.astype(np.uint16) * 257, "Read, reduced to 8 bits."),
    accepted("A `uint16` array with a maximum of 255 or less", lambda _: PIXELS.astype(np.uint16), "Read as 8 bits."),
    refused("A boolean or complex array", lambda _: PIXELS > 9, "Refused.", "integers or floats"),
    refused(
        "An array of images, `(N, H, W, C)`", lambda _: PIXELS[None], "Refused: pass `list(batch)`.", "list\\(batch\\)"
    ),
    accepted(
        "A tensor of PyTorch, TensorFlow or JAX in the memory of the CPU",
        lambda _: Tensor(np.moveaxis(PIXELS, 2, 0) / np.float32(255)),
        "Read through `__array__`, as an array.",
    ),
    several("A list or tuple of any of these", lambda folder: [photo(folder), PIXELS, PIXELS / 255], "A list."),
    several("A generator or other iterable", lambda folder: (photo(folder) for _ in range(3)), "A list."),
    stream,
    refused("A list with an unreadable image", lambda _: [PIXELS, b"x"], "An error that names it.", r"images\[1\]"),
    refused("A list in a list, or numbers in lists", lambda _: [[1, 2], [3, 4]], "Refused.", "got list"),
    refused("`None` and other objects", lambda _: None, "Refused.", "got NoneType"),
    crops,
    one_crop,
]
