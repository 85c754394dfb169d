"""Image files: every format, and what happens with transparency, bit depth, color models, EXIF and damage."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ferlab import load_dataset
from ferlab.cli import app
from ferlab.errors import ImageError
from ferlab.images import read_image
from tests.images.test_decode import png_of_size
from tests.inputs.case import InputCase
from tests.predict.test_table import rows_of

GROUP = "Image files"
PIXELS = np.zeros((60, 80, 3), np.uint8)  # red grows to the right, green downwards
PIXELS[..., 0], PIXELS[..., 1], PIXELS[..., 2] = 2 * np.arange(80), 4 * np.arange(60)[:, None], 90
PHOTO = Image.fromarray(PIXELS)
LOSSLESS: dict[str, Any] = {"WEBP": {"lossless": True}}

# name, suffix, format in Pillow, mean difference of the pixels allowed
FORMATS = [
    ("JPEG", ".jpg", "JPEG", 4.0),
    ("JPEG under another suffix", ".jfif", "JPEG", 4.0),
    ("PNG", ".png", "PNG", 0.0),
    ("WebP", ".webp", "WEBP", 0.0),
    ("AVIF", ".avif", "AVIF", 6.0),
    ("BMP", ".bmp", "BMP", 0.0),
    ("TIFF", ".tif", "TIFF", 0.0),
    ("JPEG 2000", ".jp2", "JPEG2000", 0.0),
    ("PPM, PGM, PBM", ".pnm", "PPM", 0.0),
    ("MPO", ".mpo", "MPO", 4.0),
    ("GIF", ".gif", "GIF", 8.0),
]


def content_of(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **LOSSLESS.get(file_format, {}), **options)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def predicted(folder: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """Run `ferlab predict FOLDER --strict` with `--detector none`. Returns the exit code, and the row of each file."""
    out = folder.parent / "rows.csv"
    arguments = ["predict", str(folder), "--detector", "none", "--strict", "--quiet", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, {Path(row["source"]).name: row for row in rows_of(out)}


def check_format(suffix: str, content: Callable[[], bytes], tolerance: float, folder: Path) -> None:
    """The pixels are those of the photo, `predict` gives a face, and a data set contains the image."""
    photos = folder / "photos"
    file = write(photos / f"photo{suffix}", content())
    assert np.abs(read_image(file).pixels.astype(int) - PIXELS).mean() <= tolerance
    code, rows = predicted(photos)
    assert (code, rows[file.name]["status"]) == (0, "ok")
    write(folder / "data" / "a" / file.name, file.read_bytes())
    write(folder / "data" / "b" / "other.png", content_of(PHOTO, "PNG"))
    assert sorted(load_dataset(folder / "data").names) == [f"a/{file.name}", "b/other.png"]


def check_error(name: str, content: bytes, reason: str, folder: Path) -> None:
    """`predict` gives an error row and, with `--strict`, exit code 1."""
    write(folder / "photos" / name, content)
    code, rows = predicted(folder / "photos")
    assert (code, rows[name]["status"]) == (1, "error")
    assert reason in rows[name]["reason"]
    with pytest.raises(ImageError, match=reason):
        read_image(folder / "photos" / name)


def heic() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra `heic`")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(PHOTO).save(buffer, quality=-1)
    return buffer.getvalue()


def check_pixels(content: bytes, expected: np.ndarray, folder: Path, *, tolerance: float = 0.0) -> None:
    pixels = read_image(write(folder / "photo", content)).pixels
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() <= tolerance


def check_transparency(folder: Path) -> None:
    transparent = PHOTO.copy()
    transparent.putalpha(0)
    check_pixels(content_of(transparent, "PNG"), np.full_like(PIXELS, 255), folder)


def check_sixteen_bits(folder: Path) -> None:
    gray = PIXELS[..., 0]
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    check_pixels(content_of(deep, "PNG"), np.stack([gray] * 3, axis=2), folder)


def check_cmyk(folder: Path) -> None:
    printed = PHOTO.convert("CMYK")
    check_pixels(content_of(printed, "JPEG", quality=95), np.asarray(printed.convert("RGB")), folder, tolerance=4)


def check_exif(folder: Path) -> None:
    turned = Image.fromarray(np.rot90(PIXELS))
    exif = turned.getexif()
    exif[0x0112] = 6
    check_pixels(content_of(turned, "PNG", exif=exif), PIXELS, folder)


def animated(file_format: str) -> bytes:
    return content_of(Image.new("L", (8, 8)), file_format, save_all=True, append_images=[Image.new("L", (8, 8), 255)])


def floating_point() -> bytes:
    return content_of(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")


def unsupported(suffix: str) -> Callable[[Path], None]:
    return partial(check_error, f"photo{suffix}", b"a format that is not decoded", "unsupported format")


CASES = [
    *(
        InputCase(
            group=GROUP,
            input=f"{name} (`{suffix}`)",
            result="Read.",
            check=partial(check_format, suffix, partial(content_of, PHOTO, file_format), tolerance),
        )
        for name, suffix, file_format, tolerance in FORMATS
    ),
    InputCase(
        group=GROUP,
        input="HEIC (`.heic`)",
        result="Read with the extra `heic`; without it, an error that names the extra.",
        check=partial(check_format, ".HEIC", heic, 6.0),
    ),
    InputCase(group=GROUP, input="Transparency", result="Transparent pixels become white.", check=check_transparency),
    InputCase(group=GROUP, input="16 bits per channel", result="Reduced to 8 bits.", check=check_sixteen_bits),
    InputCase(group=GROUP, input="CMYK", result="Converted to RGB.", check=check_cmyk),
    InputCase(group=GROUP, input="EXIF orientation", result="The image is rotated upright.", check=check_exif),
    InputCase(
        group=GROUP,
        input="Floating-point pixels",
        result="An error, because their range is unknown.",
        check=lambda folder: check_error("photo.tiff", floating_point(), "range is unknown", folder),
    ),
    InputCase(
        group=GROUP,
        input="Truncated file",
        result="An error.",
        check=lambda folder: check_error("photo.jpg", content_of(PHOTO, "JPEG")[:-200], "truncated", folder),
    ),
    InputCase(
        group=GROUP,
        input="Empty file",
        result="An error.",
        check=partial(check_error, "photo.jpg", b"", "the file is empty"),
    ),
    InputCase(
        group=GROUP,
        input="Text or another file with an image suffix",
        result="An error.",
        check=partial(check_error, "photo.jpg", b"<html></html>", "not an image"),
    ),
    InputCase(
        group=GROUP,
        input="More than 80 million pixels",
        result="An error, before any pixel is decoded.",
        check=partial(check_error, "photo.png", png_of_size(9_000, 9_000), "9000x9000 pixels exceed the limit"),
    ),
    *(
        InputCase(
            group=GROUP,
            input=f"Animated {name}",
            result="An error that names `ferlab video`.",
            check=lambda folder, file_format=file_format: check_error(
                f"moving.{file_format.lower()}", animated(file_format), "animated; use `ferlab video`", folder
            ),
        )
        for name, file_format in (("GIF", "GIF"), ("PNG", "PNG"), ("WebP", "WEBP"))
    ),
    InputCase(
        group=GROUP,
        input="Raw file of a camera (`.dng`, `.nef`, `.cr3`, ...)",
        result="An error: only a small preview could be read.",
        check=lambda folder: check_error(
            "photo.dng", content_of(PHOTO, "TIFF", tiffinfo={254: 1}), "a raw file of a camera", folder
        ),
    ),
    *(
        InputCase(group=GROUP, input=f"{name} (`{suffix}`)", result="An error.", check=unsupported(suffix))
        for name, suffix in (("JPEG XL", ".jxl"), ("SVG", ".svg"), ("TGA", ".tga"), ("Photoshop", ".psd"))
    ),
    InputCase(
        group=GROUP,
        input="EPS and PostScript",
        result="An error: decoding would run the program in the file.",
        check=lambda folder: check_error("photo.eps", content_of(PHOTO, "EPS"), "unsupported format", folder),
    ),
]
