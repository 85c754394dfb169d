"""Tests of augmentation."""

import cv2
import numpy as np
import pytest

from ferlab.recipes.augmentation import DETECTOR_FRAMING, Augmentation, augment

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 48, 48), dtype=np.uint8)


def changed(**settings: float) -> np.ndarray:
    return augment(IMAGES, Augmentation(**settings), np.random.default_rng(1))


def test_augmentation_that_is_off_returns_a_copy() -> None:
    copy = changed()
    np.testing.assert_array_equal(copy, IMAGES)
    assert copy is not IMAGES


def test_the_same_generator_gives_the_same_images() -> None:
    everything = {"flip": True, "rotation": 10, "shift": 0.1, "zoom": 0.1, "contrast": 0.3, "erase": 0.5}
    np.testing.assert_array_equal(changed(**everything), changed(**everything))
    assert changed(**everything).dtype == np.uint8


def test_flip_mirrors_about_half_of_the_images() -> None:
    flipped = changed(flip=True)
    same = (flipped == IMAGES).all(axis=(1, 2))
    mirrored = (flipped == IMAGES[:, :, ::-1]).all(axis=(1, 2))
    assert (same ^ mirrored).all()
    assert 16 < mirrored.sum() < 48


@pytest.mark.parametrize(
    ("settings", "limit"), [({"shift": 0.125}, 6.0), ({"rotation": 10}, 0.2), ({"zoom": 0.2}, 0.2)]
)
def test_only_shifts_move_the_center(settings: dict, limit: float) -> None:
    """A bright spot at the center moves by the shift only."""
    spot = np.zeros((64, 48, 48), np.uint8)
    spot[:, 23:25, 23:25] = 255
    moved = augment(spot, Augmentation(**settings), np.random.default_rng(0)).astype(float)
    rows = (moved.sum(axis=2) * np.arange(48)).sum(axis=1) / moved.sum(axis=(1, 2))
    assert np.abs(rows - 23.5).max() <= limit + 0.05
    assert np.abs(rows - 23.5).max() >= limit / 2 or limit < 1


def test_rotation_is_bounded_by_its_limit() -> None:
    line = np.zeros((200, 48, 48), np.uint8)
    line[:, 4:44, 23:25] = 255
    turned = augment(line, Augmentation(rotation=20), np.random.default_rng(0))
    angles = []
    for image in turned:
        moments = cv2.moments(image)
        angles.append(np.degrees(0.5 * np.arctan2(2 * moments["mu11"], moments["mu02"] - moments["mu20"])))
    assert 15 < max(angles) <= 21
    assert -21 <= min(angles) < -15


def test_contrast_raises_and_lowers_the_standard_deviation() -> None:
    stronger = changed(contrast=0.9)
    assert stronger.std(axis=(1, 2)).max() > IMAGES.std() > stronger.std(axis=(1, 2)).min()


def test_erasing_fills_a_bounded_rectangle_in_some_images() -> None:
    erased = changed(erase=0.5)
    touched = (erased != IMAGES).mean(axis=(1, 2))
    assert 16 < (touched > 0).sum() < 48
    assert touched.max() <= 0.21


def test_a_detector_frames_some_images_otherwise() -> None:
    """A bright spot moves and changes its size as measured, in about half of the images."""
    spot = np.zeros((400, 48, 48), np.uint8)
    spot[:, 18:30, 18:30] = 255
    framed = augment(spot, Augmentation(detected=0.5), np.random.default_rng(0)).astype(float)
    untouched = (framed == spot).all(axis=(1, 2))
    assert 160 < untouched.sum() < 240
    mass, rows = framed[~untouched].sum(axis=(1, 2)), framed[~untouched].sum(axis=2)
    down = (rows * np.arange(48)).sum(axis=1) / mass - 23.5
    _, (mean_down, _), (mean_octaves, spread_octaves) = DETECTOR_FRAMING
    octaves = -np.log2(mass / spot[0].sum()) / 2  # a large crop shows a small face
    assert np.mean(down) == pytest.approx(-48 * mean_down * 2**-mean_octaves, abs=0.5)
    assert np.mean(octaves) == pytest.approx(mean_octaves, abs=0.03)
    assert np.std(octaves) == pytest.approx(spread_octaves, rel=0.3)


def test_exposure_keeps_black_and_white() -> None:
    """Gray levels between them are raised to a bounded exponent."""
    steps = np.tile(np.array([0, 64, 255], np.uint8), (64, 48, 16))
    exposed = augment(steps, Augmentation(exposure=1.0), np.random.default_rng(0))
    assert (exposed[:, :, ::3] == 0).all() and (exposed[:, :, 2::3] == 255).all()
    assert exposed[:, :, 1].min() == pytest.approx(255 * (64 / 255) ** 2, abs=6)
    assert exposed[:, :, 1].max() == pytest.approx(255 * (64 / 255) ** 0.5, abs=6)


def test_degraded_images_lose_detail() -> None:
    """Blur, JPEG and low resolution all remove fine structure, in about the given share of the images."""
    degraded = changed(degraded=0.5)
    touched = (degraded != IMAGES).any(axis=(1, 2))
    assert 20 < touched.sum() < 44
    detail = [np.abs(np.diff(images[touched].astype(float))).mean() for images in (IMAGES, degraded)]
    assert detail[1] < detail[0]
