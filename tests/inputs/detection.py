"""Images that are hard for a face detector: banners, tiny images, group photos, turned photos."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import Predictor
from tests.detector_models import CELL, bright_cell_detector
from tests.inputs.case import InputCase
from tests.scenes import MEDIA, YUNET

GROUP = "Faces in images"


def yunet_predictor(**options: int) -> Predictor:
    if not YUNET.is_file():
        pytest.skip("YuNet's model file is not available")
    return Predictor(detector_model=YUNET, **options)


def bright_cells(folder: Path, **options: int) -> Predictor:
    """A predictor that detects white cells of 32 pixels."""
    (folder / "model.onnx").write_bytes(bright_cell_detector())
    return Predictor(detector_model=folder / "model.onnx", **options)


def check_banner(folder: Path) -> None:
    """A white cell in a banner whose search copy is 26 pixels high, and banners without a face."""
    image = np.zeros((CELL, 640, 3), np.uint8)
    image[:, 96:128] = 255
    [face] = bright_cells(folder).predict(image)
    assert tuple(face.box) == (96, 0, CELL, CELL)
    predictor = yunet_predictor()
    for width, height in ((640, 20), (1600, 64), (20, 640)):
        assert not list(predictor.predict(np.full((height, width, 3), 128, np.uint8)))


def check_tiny(folder: Path) -> None:
    pixel = np.full((1, 1, 3), 255, np.uint8)
    assert not list(bright_cells(folder).predict(np.zeros_like(pixel)))
    [face] = Predictor(detector="none").predict(pixel)
    assert tuple(face.box) == (0, 0, 1, 1)


def check_small_faces(folder: Path) -> None:
    """White cells of 32 pixels vanish in the search copy of 640 pixels, and are found at 2560."""
    image = np.zeros((1440, 2560, 3), np.uint8)
    corners = [(32 * column, 32 * row) for column in range(2, 80, 15) for row in range(2, 45, 15)]
    for left, top in corners:
        image[top : top + CELL, left : left + CELL] = 255
    found = bright_cells(folder, search_size=2560).predict(image)
    assert sorted((face.box.x, face.box.y) for face in found) == sorted(corners)


def check_large_face(folder: Path) -> None:
    predictor = yunet_predictor(search_size=2560)
    photo = cv2.resize(cv2.imread(str(MEDIA / "img1.jpg"))[..., ::-1], None, fx=2, fy=2)
    [face] = predictor.predict(photo)
    assert face.box.width > 700


def check_turned(folder: Path) -> None:
    predictor = yunet_predictor()
    photo = np.ascontiguousarray(cv2.imread(str(MEDIA / "img17.jpg"))[..., ::-1])
    for quarter_turns in range(4):
        [face] = predictor.predict(np.rot90(photo, quarter_turns))
        assert face.emotion == "happy" and face.confidence > 0.8


CASES = [
    InputCase(
        group=GROUP,
        input="A banner, or another image that is only a few pixels high or wide",
        result="It is padded for the search. Detections outside the image are dropped.",
        check=check_banner,
    ),
    InputCase(
        group=GROUP,
        input="An image of one pixel",
        result="No face; with `--detector none`, the image is the face.",
        check=check_tiny,
    ),
    InputCase(
        group=GROUP,
        input="A group photo with faces smaller than 1/60 of its width",
        result="`--search-size 2560` finds them: it searches the photo in tiles.",
        check=check_small_faces,
    ),
    InputCase(
        group=GROUP,
        input="A face that is larger than a tile, with `--search-size`",
        result="One face: the photo is also searched as a whole.",
        check=check_large_face,
    ),
    InputCase(
        group=GROUP,
        input="A photo turned by 90, 180 or 270 degrees without an EXIF orientation",
        result="YuNet finds the upright turn of each face. Box and landmarks are in pixels of the image as given.",
        check=check_turned,
    ),
]
