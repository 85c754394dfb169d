"""Threads that decode images hold a bounded number of pixels at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ferlab.images import decode, read_image
from ferlab.images.pixel_budget import PixelBudget
from tests.images.test_decode import file_of


@pytest.mark.parametrize(("pixels", "together"), [(10, 8), (40, 2), (60, 1), (500, 1)])
def test_threads_wait_until_their_image_fits(pixels: int, together: int) -> None:
    budget, lock, counts = PixelBudget(100), threading.Lock(), [0, 0]  # threads with an image now, and at most

    def hold(number: int) -> None:
        with budget.reservation() as reserve:
            reserve(1)
            reserve(pixels)  # replaces the first one
            with lock:
                counts[0] += 1
                counts[1] = max(counts)
            threading.Event().wait(0.001)
            with lock:
                counts[0] -= 1

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(hold, range(40)))
    assert 1 <= counts[1] <= together


def test_an_error_releases_the_pixels() -> None:
    budget = PixelBudget(100)
    for _ in range(3):
        with pytest.raises(KeyError), budget.reservation() as reserve:
            reserve(100)
            raise KeyError
    with budget.reservation() as reserve:
        reserve(100)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "CMYK", "1", "I;16"])
def test_large_images_are_converted_in_strips_with_the_same_result(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 30, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if mode == "CMYK" else "RGBA")
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200) if mode == "I;16" else image.convert(mode)
    options = {"transparency": 3} if mode == "P" else {}
    if mode != "CMYK":
        exif = Image.Exif()
        exif[0x0112] = 6  # rotate by 90 degrees clockwise
        options["exif"] = exif
    content = file_of(image, "TIFF" if mode == "CMYK" else "PNG", **options)
    whole, reserved = read_image(content).pixels, []
    monkeypatch.setattr(decode, "STRIP", 200)
    np.testing.assert_array_equal(read_image(content, reserve=reserved.append).pixels, whole)
    assert reserved == [1500]
