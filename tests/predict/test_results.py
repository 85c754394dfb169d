"""Crops, and the shapes of other packages."""

import json

import numpy as np
import pytest

from ferlab.images.crop import CROP_SIDE, crop_face
from ferlab.images.detectors import Detection
from ferlab.predict.results import Box, Face

PROBABILITIES = {"angry": 0.25, "happy": 0.75}
FACE = Face(
    emotion="happy",
    confidence=0.75,
    probabilities=PROBABILITIES,
    box=Box(10, 20, 30, 40),
    detection_score=0.9,
    landmarks={"right_eye": (15.2, 30.0), "left_eye": (30.4, 30.0)},
)


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards; one gray level a pixel."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(width), np.arange(height)[:, None]
    return picture


def test_a_box_of_the_networks_size_is_cut_pixel_by_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 90, 1), dtype=np.uint8).repeat(3, axis=2)
    crop = crop_face(picture, Detection(box=(7, 11, CROP_SIDE, CROP_SIDE)), 0)
    np.testing.assert_array_equal(crop, picture[11 : 11 + CROP_SIDE, 7 : 7 + CROP_SIDE, 0])


def test_large_faces_are_averaged_and_not_sampled() -> None:
    """A chessboard of single pixels becomes gray."""
    board = np.indices((480, 480)).sum(axis=0) % 2 * 255
    crop = crop_face(np.stack([board] * 3, axis=2).astype(np.uint8), Detection(box=(0, 0, 480, 480)), 0)
    assert set(np.unique(crop)) <= {127, 128}


def test_a_margin_widens_on_all_sides_and_repeats_the_border() -> None:
    picture = np.zeros((48, 48, 3), np.uint8)
    picture[8:40, 8:40] = 255
    crop = crop_face(picture, Detection(box=(8, 8, 32, 32)), 0.25)
    assert (crop[24, 24], crop[2, 2], crop[-3, -3]) == (255, 0, 0)
    assert crop_face(picture, Detection(box=(-100, -100, 60, 60)), 0).shape == (CROP_SIDE, CROP_SIDE)


def test_eyes_become_level() -> None:
    """A white line from eye to eye, which falls by 30 degrees, lies flat in the crop."""
    import cv2

    picture = np.zeros((200, 200, 3), np.uint8)
    eyes = {"right_eye": (65.36, 80.0), "left_eye": (134.64, 120.0)}
    cv2.line(picture, (65, 80), (135, 120), (255, 255, 255), 5)
    crop = crop_face(picture, Detection(box=(52, 52, 96, 96), landmarks=eyes), 0)
    rows = np.argwhere(crop > 128)[:, 0]
    assert np.ptp(rows) <= 4
    assert np.ptp(np.argwhere(crop_face(picture, Detection(box=(52, 52, 96, 96)), 0) > 128)[:, 0]) > 12


def test_colors_count_as_red_green_and_blue() -> None:
    crop = crop_face(gradient(100, 100), Detection(box=(0, 0, 96, 96)), 0)
    assert crop[0, -1] > crop[0, 0]
    assert crop[-1, 0] > crop[0, -1]  # green weighs more than red


def test_as_fer_and_deepface_say_it() -> None:
    assert FACE.to_fer() == {"box": [10, 20, 30, 40], "emotions": PROBABILITIES}
    deepface = FACE.to_deepface()
    assert deepface["region"] == {"x": 10, "y": 20, "w": 30, "h": 40, "left_eye": (30, 30), "right_eye": (15, 30)}
    assert deepface["dominant_emotion"] == "happy"
    assert sum(deepface["emotion"].values()) == pytest.approx(100)
    assert json.loads(json.dumps([FACE.to_fer(), deepface]))[1]["face_confidence"] == 0.9
