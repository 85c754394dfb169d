"""Images of every format decode to upright, 8-bit RGB pixels, or fail with a reason."""

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ferlab.errors import ImageError
from ferlab.images.decode import START_OF_SCAN, read_image
from ferlab.limits import MAX_PIXELS
from tests.scenes import encoded

COLORS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def file_of(image: Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_lossless_files_decode_exactly(file_format: str, tmp_path: Path) -> None:
    content = file_of(Image.fromarray(COLORS), file_format, **({"lossless": True} if file_format == "WEBP" else {}))
    (tmp_path / "image").write_bytes(content)
    for source in (content, tmp_path / "image", str(tmp_path / "image"), Image.open(io.BytesIO(content))):
        np.testing.assert_array_equal(read_image(source).pixels, COLORS)


def test_arrays_of_every_shape_and_dtype() -> None:
    gray = COLORS[..., 0]
    for array in (gray, gray[..., None], np.stack([gray] * 3, axis=2), gray.astype(np.uint16) * 257):
        np.testing.assert_array_equal(read_image(array).pixels, np.stack([gray] * 3, axis=2))
    opaque = np.full((20, 30, 1), 255, np.uint8)
    for channels, array in (("rgb", COLORS), ("bgr", COLORS[..., ::-1])):
        for each in (array, np.concatenate([array, opaque], axis=2)):
            np.testing.assert_array_equal(read_image(each, channels=channels).pixels, COLORS)


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


def all_sources(image: Image.Image, file_format: str, array: np.ndarray, **options) -> list[Any]:
    """Return an image as the bytes of a file, an opened file, a Pillow image and an array."""
    content = file_of(image, file_format, **options)
    return [content, Image.open(io.BytesIO(content)), image, array]


def test_transparent_pixels_become_white_in_all_sources() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[0, 0], pixels[0, 1] = (10, 20, 30, 255), (100, 0, 200, 128)
    for file_format in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
        for source in all_sources(Image.fromarray(pixels), file_format, pixels, **options):
            read = read_image(source).pixels
            assert read[0, :3].tolist() == [[10, 20, 30], [177, 127, 227], [255, 255, 255]]
    swapped = read_image(pixels[..., [2, 1, 0, 3]], channels="bgr").pixels
    np.testing.assert_array_equal(swapped, read_image(pixels).pixels)


def test_transparency_of_gray_and_palette_images() -> None:
    gray = Image.fromarray(np.array([[0, 255], [0, 0]], np.uint8))
    gray.putalpha(Image.fromarray(np.array([[255, 255], [0, 128]], np.uint8)))
    assert read_image(file_of(gray, "PNG")).pixels[..., 0].tolist() == [[0, 255], [255, 127]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    assert read_image(file_of(palette, "PNG", transparency=1)).pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_sixteen_bits_are_reduced_to_eight_in_all_sources() -> None:
    deep = np.array([[0, 257, 300, 65535]], np.uint16)
    for file_format in ("PNG", "TIFF", "PPM"):
        for source in all_sources(Image.fromarray(deep), file_format, deep):
            assert read_image(source).pixels[0, :, 0].tolist() == [0, 1, 1, 255]
    colors = np.stack([deep, deep[:, ::-1], deep], axis=2)
    for suffix in (".png", ".tiff"):
        np.testing.assert_array_equal(read_image(encoded(colors, suffix)).pixels, read_image(colors).pixels)


@pytest.mark.parametrize("pixels", [np.full((2, 2), 70_000, np.int32), np.full((2, 2), -1, np.int32), np.ones((2, 2))])
def test_pixels_of_unknown_range_are_refused(pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels.astype(np.float32) if pixels.dtype == float else pixels)
    for source in (image, file_of(image, "TIFF")):
        with pytest.raises(ImageError, match="not supported, because their range is unknown"):
            read_image(source)


def test_cmyk_files_have_the_colors_of_their_rgb_form() -> None:
    colors = Image.fromarray(COLORS).resize((90, 60))
    expected = np.asarray(colors.convert("CMYK").convert("RGB"))
    np.testing.assert_array_equal(read_image(file_of(colors.convert("CMYK"), "TIFF")).pixels, expected)
    jpeg = read_image(file_of(colors.convert("CMYK"), "JPEG", quality=100)).pixels
    assert np.abs(jpeg.astype(int) - expected).mean() < 3  # JPEG inverts CMYK, as Adobe does


def test_the_first_image_of_a_stereo_photo_and_of_a_tiff_with_pages_is_read() -> None:
    for file_format in ("MPO", "TIFF"):
        first, second = Image.new("RGB", (60, 40), (200, 0, 0)), Image.new("RGB", (30, 20), (0, 0, 200))
        read = read_image(file_of(first, file_format, save_all=True, append_images=[second])).pixels
        assert read.shape == (40, 60, 3)
        assert read[..., 0].min() > 190 and read[..., 2].max() < 10


def test_the_preview_in_a_raw_file_is_not_taken_for_the_photo() -> None:
    """Raw files of Nikon, Sony and Adobe are TIFF files that begin with a thumbnail."""
    thumbnail = file_of(Image.new("RGB", (16, 12)), "TIFF", tiffinfo={254: 1})
    with pytest.raises(ImageError, match="a raw file of a camera"):
        read_image(thumbnail)


def heic(image: Image.Image) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=-1)  # lossless
    return buffer.getvalue()


def test_heic_files_are_read_with_pillow_heif(tmp_path: Path) -> None:
    content = heic(Image.fromarray(np.kron(COLORS, np.ones((4, 4, 1), np.uint8))))
    (tmp_path / "IMG_1.HEIC").write_bytes(content)
    for source in (content, tmp_path / "IMG_1.HEIC"):
        pixels = read_image(source).pixels
        assert np.abs(pixels[::4, ::4].astype(int) - COLORS).mean() < 6  # color has half the resolution
    with pytest.raises(ImageError, match="the image: "):
        read_image(content[: len(content) // 2])


def test_heic_without_pillow_heif_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(ImageError, match=r"pip install 'ferlab\[heic\]'"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "JPEG2000", "PPM", "TIFF"])
def test_truncated_files_are_errors(file_format: str) -> None:
    content = file_of(Image.fromarray(np.kron(COLORS, np.ones((4, 4, 1), np.uint8))), file_format)
    for share in (0.25, 0.5, 0.75, 0.95):
        with pytest.raises(ImageError):
            read_image(content[: int(share * len(content))])


def test_exif_orientation_is_applied() -> None:
    rotated = Image.fromarray(np.rot90(COLORS))
    exif = rotated.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    for file_format in ("PNG", "TIFF"):
        image = read_image(file_of(rotated, file_format, exif=exif))
        np.testing.assert_array_equal(image.pixels, COLORS)
        assert image.size == (30, 20), "Pillow applies it to the size of a TIFF"


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


def test_a_progressive_jpeg_counts_in_full_size_and_has_few_scans() -> None:
    """Its coefficients are all in memory, whatever the size it is decoded at; each scan is a pass over all of them."""
    reserved: list[int] = []
    for progressive in (False, True):
        content = file_of(Image.new("RGB", (4000, 2000)), "JPEG", progressive=progressive)
        read_image(content, sufficient_side=1280, reserve=reserved.append)
    assert reserved == [2000 * 1000, 4000 * 2000]
    small = file_of(Image.fromarray(COLORS), "JPEG", progressive=True)
    last_scan = small[small.rindex(START_OF_SCAN) : -2]
    assert read_image(small[:-2] + 20 * last_scan + small[-2:]).size == (30, 20)
    with pytest.raises(ImageError, match=r"progressive JPEG with \d+ scans: more than the limit of 100"):
        read_image(small[:-2] + 100 * last_scan + small[-2:])


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


def test_a_lower_limit_of_pixels() -> None:
    content = encoded(np.zeros((20, 30), np.uint8))
    assert read_image(content, max_pixels=600).size == (30, 20)
    with pytest.raises(ImageError, match="30x20 pixels exceed the limit of 599"):
        read_image(content, max_pixels=599)


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
        ("empty.png", b"", "empty"),
        ("cut.jpg", content[: len(content) // 2], "truncated"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=rf"{name}.*{reason}"):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match=r"none\.jpg: the file does not exist"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="a folder, not an image"):
        read_image(tmp_path)
    (tmp_path / "moved.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(ImageError, match=r"moved\.jpg: a link to nowhere\.jpg, which does not exist"):
        read_image(tmp_path / "moved.jpg")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM"])
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
