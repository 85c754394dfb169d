"""Every kind of object that is an image leads to the same pixels, or is refused with a reason."""

import base64
import io
import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes

import numpy as np
import pytest
from PIL import Image

from ferlab.errors import ImageError
from ferlab.images.decode import read_image
from ferlab.images.sources import as_array, is_one_image, open_source
from tests.images.test_decode import COLORS, file_of

PNG = file_of(Image.fromarray(COLORS), "PNG")
BASE64 = base64.b64encode(PNG).decode()


class Tensor:
    """An object with nothing but the method through which tensors become arrays."""

    def __init__(self, array: np.ndarray, error: str = "") -> None:
        self.array, self.error = array, error

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if self.error:
            raise TypeError(self.error)
        return self.array


def shown(value: object) -> str:
    """Return the text of an object without its address, which differs between processes."""
    return re.sub(r"0x[0-9a-f]+", "", str(value))


@pytest.mark.parametrize(
    "source",
    [
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        io.BytesIO(PNG),
        Image.fromarray(COLORS),
        COLORS,
        Tensor(COLORS),
        BASE64,
        base64.encodebytes(PNG).decode(),
        base64.urlsafe_b64encode(PNG).decode().rstrip("="),
        f"data:image/png;base64,{BASE64}",
        f"DATA:image/png;charset=utf-8;BASE64,{BASE64.replace('+', '%2B').replace('=', '%3D')}",
        f"data:image/png,{quote_from_bytes(PNG)}",
    ],
    ids=lambda source: f"{type(source).__name__} {shown(source)[:24]!r}",
)
def test_every_kind_gives_the_same_pixels(source) -> None:
    assert is_one_image(source)
    np.testing.assert_array_equal(read_image(source).pixels, COLORS)


def test_paths(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    [entry] = os.scandir(tmp_path)
    for source in (path, str(path), entry):
        assert open_source(source).name == str(path)
        np.testing.assert_array_equal(read_image(source).pixels, COLORS)


def test_a_file_object_is_read_from_its_start(tmp_path: Path) -> None:
    file = io.BytesIO(PNG)
    file.seek(0, io.SEEK_END)
    np.testing.assert_array_equal(read_image(file).pixels, COLORS)
    (tmp_path / "photo.png").write_bytes(PNG)
    with open(tmp_path / "photo.png", "rb") as opened:
        assert open_source(opened).name == str(tmp_path / "photo.png")


def test_a_stream_that_cannot_seek_is_read_once() -> None:
    class Stream(io.RawIOBase):
        def read(self, size=-1):
            return PNG

    np.testing.assert_array_equal(read_image(Stream()).pixels, COLORS)


def test_a_path_wins_over_base64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a" * 120  # is base64, too
    Path(name).write_bytes(PNG)
    assert open_source(name).content == Path(name)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (7, "An image must be a path, .*, got int"),
        (None, "got NoneType"),
        ([[1, 2], [3, 4]], "got list"),
        (io.StringIO("text"), "must return bytes, got str. Open it in binary mode"),
        (Tensor(COLORS, "Use Tensor.cpu() first."), r"Tensor cannot be converted to an array: Use Tensor.cpu\(\)"),
        ("http://example.org/x.jpg", r"not downloaded. Allow URLs with Predictor\(allow_urls=True\)"),
        ("data:image/png;base64,!!!", "not valid base64"),
        ("data:image/png;base64,", "the file is empty"),
        ("none.jpg", r"none\.jpg.* does not exist"),
        ("x!" * 5000, "of 10,000 characters is neither a path nor base64"),
        ("a\0b", "null"),
        (b"", "the file is empty"),
        ("", "The path of the image is empty"),
        (".", r"^\.: "),
        (np.zeros((5, 5, 2), np.uint8), r"must be \(H, W\), .*, got \(5, 5, 2\)"),
        (np.zeros((0, 5), np.uint8), r"got \(0, 5\)"),
        (np.zeros(9, np.uint8), r"got \(9,\)"),
        (np.float32(3), r"got \(\)"),
        (np.array(["x.jpg"]), r"got \(1,\)"),
        (np.zeros((5, 5), bool), "integers or floats, got bool"),
        (np.zeros((5, 5), complex), "integers or floats, got complex128"),
        (np.zeros((2, 48, 48, 3), np.uint8), r"a batch of images. Pass a list of images: list\(batch\)"),
        (np.full((5, 5), -1), "-1 to -1, are neither 0..1 nor 0..255"),
        (np.full((5, 5), 256), "256 to 256"),
        (np.linspace(-1, 1, 9).reshape(3, 3), "-1 to 1, .* Undo the normalization"),
        (np.linspace(-2.1, 2.6, 9).reshape(3, 3), "Undo the normalization"),
        (np.linspace(0, 1.04, 9).reshape(3, 3), "0 to 1.04, are neither"),
        (np.full((5, 5), np.nan), "nan"),
        (np.full((5, 5), np.inf), "inf"),
    ],
    ids=shown,
)
def test_other_objects_are_refused(source, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(source)


@pytest.mark.parametrize(
    "array",
    [
        COLORS / 255,
        (COLORS / 255).astype(np.float32),
        (COLORS / 255).astype(np.float16),
        COLORS.astype(np.float32),
        COLORS.astype(np.int64),
        COLORS.astype(np.uint16),
        COLORS.astype(np.uint16) * 257,
        COLORS.astype(">u2") * 257,
        np.moveaxis(COLORS, 2, 0),
        np.moveaxis(COLORS, 2, 0) / 255,
        COLORS[:, ::-1][:, ::-1],
    ],
    ids=lambda array: f"{array.dtype} {array.shape} {array.max():g}",
)
def test_arrays_of_every_range_and_order(array: np.ndarray) -> None:
    np.testing.assert_array_equal(as_array(array), COLORS)
    np.testing.assert_array_equal(read_image(Tensor(array)).pixels, COLORS)


def test_one_channel_first() -> None:
    np.testing.assert_array_equal(as_array(COLORS[None, ..., 0]), COLORS[..., :1])


def test_an_eight_bit_array_is_not_copied() -> None:
    assert as_array(COLORS) is COLORS


def test_black_and_dark_floats() -> None:
    """0..1 and 0..255 have black in common, and a photo in 0..255 that is dark everywhere is refused."""
    assert as_array(np.zeros((5, 5))).max() == 0
    with pytest.raises(ImageError, match="0 to 31"):
        as_array(np.linspace(0, 31, 25).reshape(5, 5))


def test_collections_are_told_from_images(tmp_path: Path) -> None:
    for several in ([], (PNG,), {PNG}, iter([PNG]), (x for x in [PNG]), {tmp_path: 1}, tmp_path.glob("*")):
        assert not is_one_image(several)
    for one in (7, None, np.zeros((2, 3)), "x", tmp_path, Image.new("L", (1, 1)), io.BytesIO(), Tensor(COLORS)):
        assert is_one_image(one)


@pytest.mark.parametrize("name", ["torch", "tensorflow", "jax"])
def test_tensors(name: str) -> None:
    """Floats 0..1, with the channels first as in PyTorch or last as in the others."""
    if name == "torch":
        tensor = pytest.importorskip("torch").from_numpy(np.moveaxis(COLORS, 2, 0) / np.float32(255))
    elif name == "tensorflow":
        tensor = pytest.importorskip("tensorflow").convert_to_tensor(COLORS / np.float32(255))
    else:
        tensor = pytest.importorskip("jax.numpy").asarray(COLORS)
    np.testing.assert_array_equal(read_image(tensor).pixels, COLORS)
