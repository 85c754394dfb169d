"""Tests of augmentation."""

import cv2
import numpy as np
import pytest

from ferlab.recipes.augmentation import Augmentation, augment

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
