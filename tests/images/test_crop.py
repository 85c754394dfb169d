"""Face crops: position, size, rotation and gray levels."""

import cv2
import numpy as np
import pytest

from ferlab.errors import ImageError
from ferlab.images.crop import CROP_SIDE, crop_face, resize_crop
from ferlab.images.detection import Detection
from ferlab.images.detectors import WholeImage

GRAY = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


def test_a_box_of_the_crop_size_is_copied_pixel_by_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 1), dtype=np.uint8).repeat(3, axis=2)
    crop = crop_face(image, Detection(box=(7, 11, CROP_SIDE, CROP_SIDE)), 0)
    np.testing.assert_array_equal(crop, image[11 : 11 + CROP_SIDE, 7 : 7 + CROP_SIDE, 0])


def test_large_faces_are_averaged() -> None:
    """A checkerboard of single pixels becomes gray."""
    board = np.indices((480, 480)).sum(axis=0) % 2 * 255
    crop = crop_face(np.stack([board] * 3, axis=2).astype(np.uint8), Detection(box=(0, 0, 480, 480)), 0)
    assert set(np.unique(crop)) <= {127, 128}


def test_a_margin_adds_space_on_all_sides() -> None:
    image = np.zeros((48, 48, 3), np.uint8)
    image[8:40, 8:40] = 255
    crop = crop_face(image, Detection(box=(8, 8, 32, 32)), 0.25)
    assert (crop[24, 24], crop[2, 2], crop[-3, -3]) == (255, 0, 0)


def test_a_box_outside_the_image_repeats_the_border() -> None:
    crop = crop_face(np.full((48, 48, 3), 99, np.uint8), Detection(box=(-100, -100, 60, 60)), 0)
    assert crop.shape == (CROP_SIDE, CROP_SIDE)
    assert set(np.unique(crop)) == {99}


def test_sides_beyond_opencvs_limit() -> None:
    """OpenCV cannot warp images with a side of more than 32,767 pixels."""
    strip = np.zeros((200, 66_000, 3), np.uint8)
    strip[10:190, 60_000:60_180] = GRAY.repeat(4, axis=0).repeat(4, axis=1)[:180, :180, None]
    crop = crop_face(strip, Detection(box=(60_000, 10, 180, 180)), 0)
    same = crop_face(strip[:, 59_000:61_000], Detection(box=(1_000, 10, 180, 180)), 0)
    np.testing.assert_array_equal(crop, same)
    assert np.ptp(crop) > 100


def test_the_eyes_are_level_in_the_crop() -> None:
    """A white line between the eyes, which falls by 30 degrees, is horizontal in the crop."""
    image = np.zeros((200, 200, 3), np.uint8)
    eyes = {"right_eye": (65.36, 80.0), "left_eye": (134.64, 120.0)}
    cv2.line(image, (65, 80), (135, 120), (255, 255, 255), 5)
    level = crop_face(image, Detection(box=(52, 52, 96, 96), landmarks=eyes), 0)
    assert np.ptp(np.argwhere(level > 128)[:, 0]) <= 4
    tilted = crop_face(image, Detection(box=(52, 52, 96, 96)), 0)
    assert np.ptp(np.argwhere(tilted > 128)[:, 0]) > 12


def test_crops_of_rgb_images_weight_green_more_than_red() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(100), np.arange(100)[:, None]  # red grows to the right, green downwards
    crop = crop_face(image, Detection(box=(0, 0, 96, 96)), 0)
    assert crop[0, -1] > crop[0, 0]
    assert crop[-1, 0] > crop[0, -1]


def test_gray_and_gray_in_rgb_give_the_same_crop() -> None:
    np.testing.assert_array_equal(resize_crop(GRAY[..., None]), GRAY)
    np.testing.assert_array_equal(resize_crop(np.stack([GRAY] * 3, axis=2)), GRAY)


def test_channels_are_rgb() -> None:
    """ITU-R BT.601 weights red by 0.299 and blue by 0.114."""
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 255
    assert resize_crop(red).mean() == pytest.approx(76, abs=1)


@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (500, 300), (47, 2000, 3)])
def test_crops_of_any_size_are_resized(shape: tuple[int, ...]) -> None:
    resized = resize_crop(np.full(shape, 77, np.uint8))
    assert resized.shape == (48, 48)
    assert set(np.unique(resized)) == {77}


@pytest.mark.parametrize("shape", [(48, 90), (90, 48)])
def test_the_middle_square_is_used(shape: tuple[int, int]) -> None:
    """The face in a wide or tall image is not squeezed, and the box of `detector="none"` shows what was used."""
    image = np.zeros(shape, np.uint8)
    top, left = (shape[0] - 48) // 2, (shape[1] - 48) // 2
    image[top : top + 48, left : left + 48] = GRAY
    np.testing.assert_array_equal(resize_crop(image), GRAY)
    colors = np.stack([image] * 3, axis=2)
    np.testing.assert_array_equal(resize_crop(colors), GRAY)
    [detection] = WholeImage().detect(colors)
    assert detection.box == (left, top, 48, 48)
    np.testing.assert_array_equal(crop_face(colors, detection, 0), GRAY)


@pytest.mark.parametrize(
    "crop", [GRAY.astype(float), GRAY[0], np.zeros((0, 5), np.uint8), np.zeros((5, 5, 2), np.uint8)]
)
def test_other_arrays_are_refused(crop: np.ndarray) -> None:
    with pytest.raises(ImageError, match="A crop must be"):
        resize_crop(crop)
