"""Images of every format decode to upright, 8-bit RGB pixels, or fail with a reason."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferlab.errors import ImageError
from ferlab.images.decode import MAX_PIXELS, read_image

COLORS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def file_of(image: Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_lossless_files_decode_exactly(file_format: str, tmp_path: Path) -> None:
    content = file_of(Image.fromarray(COLORS), file_format, **({"lossless": True} if file_format == "WEBP" else {}))
    (tmp_path / "image").write_bytes(content)
    for source in (content, tmp_path / "image", str(tmp_path / "image"), Image.open(io.BytesIO(content))):
        np.testing.assert_array_equal(read_image(source).pixels, COLORS)


def test_arrays_of_every_shape_and_dtype() -> None:
    gray = COLORS[..., 0]
    for array in (gray, gray[..., None], np.stack([gray] * 3, axis=2), gray.astype(np.uint16) * 257):
        np.testing.assert_array_equal(read_image(array).pixels, np.stack([gray] * 3, axis=2))
    opaque = np.concatenate([COLORS, np.full((20, 30, 1), 255, np.uint8)], axis=2)
    np.testing.assert_array_equal(read_image(opaque).pixels, COLORS)
    for array in (COLORS[..., ::-1], np.concatenate([COLORS[..., ::-1], opaque[..., 3:]], axis=2)):
        np.testing.assert_array_equal(read_image(array, channels="bgr").pixels, COLORS)


def test_wrong_channels_and_truncated_images_are_refused() -> None:
    with pytest.raises(ImageError, match="channels must be one of rgb, bgr, got 'BGR'"):
        read_image(COLORS, channels="BGR")  # type: ignore[arg-type]
    cut_short = Image.open(io.BytesIO(file_of(Image.fromarray(COLORS), "PNG")[:500]))
    with pytest.raises(ImageError, match="the image: .*truncated"):
        read_image(cut_short)


def test_postscript_is_refused() -> None:
    """Pillow would run Ghostscript, which executes the program in the file."""
    with pytest.raises(ImageError, match="not an image, or an unsupported format"):
        read_image(file_of(Image.fromarray(COLORS), "EPS"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pillow_images_of_every_mode(mode: str) -> None:
    whites = np.full((4, 6), 65535, np.uint16)
    image = Image.fromarray(whites) if mode == "I;16" else Image.new("RGB", (6, 4), "white").convert(mode)
    assert set(np.unique(read_image(image).pixels)) == {255}


def test_transparent_pixels_become_white() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    read = read_image(file_of(Image.fromarray(pixels), "PNG")).pixels
    assert read[0, 0].tolist() == [10, 20, 30]
    assert read[1, 1].tolist() == [255, 255, 255]


def test_sixteen_bit_files_are_reduced_to_eight_bits() -> None:
    deep = np.array([[0, 257, 65535]], np.uint16)
    assert read_image(file_of(Image.fromarray(deep), "PNG")).pixels[0, :, 0].tolist() == [0, 1, 255]


def test_exif_orientation_is_applied() -> None:
    rotated = Image.fromarray(np.rot90(COLORS))
    exif = rotated.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    image = read_image(file_of(rotated, "PNG", exif=exif))
    np.testing.assert_array_equal(image.pixels, COLORS)
    assert image.size == (30, 20)


def test_a_large_jpeg_is_decoded_at_reduced_size() -> None:
    content = file_of(Image.new("RGB", (4000, 2000)), "JPEG")
    image = read_image(content, sufficient_side=1280)
    assert image.pixels.shape == (1000, 2000, 3)
    assert (image.scale, image.size) == (0.5, (4000, 2000))
    assert read_image(content).pixels.shape == (2000, 4000, 3)
    assert read_image(content, sufficient_side=5000).scale == 1
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = read_image(file_of(Image.new("RGB", (4001, 2003)), "JPEG", exif=exif), sufficient_side=1280)
    assert upright.size == (2003, 4001)
    assert upright.pixels.shape == (2001, 1002, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_tiny_and_thin_images(size: tuple[int, int]) -> None:
    assert read_image(file_of(Image.new("L", size), "PNG"), sufficient_side=1280).pixels.shape == (size[1], size[0], 3)


def png_of_size(width: int, height: int) -> bytes:
    """Build a PNG whose header states a size, without any pixel data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(ImageError, match=f"{side}x{side} pixels exceed the limit of 80,000,000"):
        read_image(png_of_size(side, side))


def test_animated_images_are_refused() -> None:
    frames = [Image.new("L", (8, 8), gray) for gray in (0, 255)]
    for file_format in ("GIF", "WEBP", "PNG"):
        with pytest.raises(ImageError, match="animated; use `ferlab video` instead"):
            read_image(file_of(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert read_image(file_of(frames[0], "GIF")).pixels.shape == (8, 8, 3)


def test_errors_name_the_file_and_the_reason(tmp_path: Path) -> None:
    content = file_of(Image.fromarray(np.tile(COLORS, (20, 20, 1))), "JPEG")
    for name, data, reason in (
        ("text.jpg", b"hello", "not an image"),
        ("empty.png", b"", "not an image"),
        ("cut.jpg", content[: len(content) // 2], "truncated"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=rf"{name}.*{reason}"):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match=r"none\.jpg does not exist"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError):
        read_image(tmp_path)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_damaged_files_decode_or_raise_image_error(file_format: str) -> None:
    """Truncated files and flipped bits never raise another exception and never hang."""
    whole, generator = file_of(Image.fromarray(COLORS), file_format), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: generator.integers(1, len(whole) + 1)])
        for place in generator.integers(0, len(damaged), 4):
            damaged[place] ^= 1 << int(generator.integers(0, 8))
        try:
            assert read_image(bytes(damaged), sufficient_side=1280).pixels.dtype == np.uint8
        except ImageError as error:
            assert "the image" in str(error)
