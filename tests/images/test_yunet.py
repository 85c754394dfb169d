"""YuNet on ONNX Runtime against OpenCV's own `FaceDetectorYN`, and faces that are not upright."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import Dataset, Predictor
from ferlab.images.detection import Detection
from ferlab.images.yunet import LANDMARKS, YuNet
from tests.detector_models import CELL, bright_cell_detector
from tests.scenes import MEDIA, YUNET, scene

pytestmark = pytest.mark.filterwarnings("error")
needs_yunet = pytest.mark.skipif(not YUNET.is_file(), reason="YuNet's model file is not available")


def by_opencv(model: Path, image: np.ndarray) -> np.ndarray:
    """Return the rows `(N, 15)` of OpenCV's detector for an RGB image, largest face first."""
    height, width = image.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(model), "", (width, height), YuNet.SCORE_THRESHOLD, 0.3)
    _, rows = detector.detect(np.ascontiguousarray(image[..., ::-1]))
    return np.array(sorted(rows if rows is not None else [], key=lambda row: -row[2] * row[3])).reshape(-1, 15)


def by_ferlab(model: Path, image: np.ndarray) -> np.ndarray:
    return np.array([as_row(face) for face in YuNet(model).detect(image)]).reshape(-1, 15)


def as_row(face: Detection) -> list[float]:
    assert face.landmarks is not None and face.score is not None
    return [*face.box, *(value for name in LANDMARKS for value in face.landmarks[name]), face.score]


@needs_yunet
@pytest.mark.real_data
@pytest.mark.parametrize("longer", [320, 500, 640])
@pytest.mark.parametrize("name", ["couple", "img1", "img13", "img17", "img20", "img58", "no-faces"])
def test_photographs_give_the_detections_of_opencv(name: str, longer: int) -> None:
    photo = cv2.imread(str(MEDIA / f"{name}.jpg"))[..., ::-1]
    factor = longer / max(photo.shape[:2])
    photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(by_ferlab(YUNET, photo), by_opencv(YUNET, photo), atol=1e-3)


@needs_yunet
@pytest.mark.real_data
def test_synthetic_faces_give_the_detections_of_opencv(demo: Dataset) -> None:
    found = 0
    for left in range(0, 400, 50):
        image = np.stack([scene(demo, (200, left, 100), (90, 500 - left, 10))] * 3, axis=2)
        expected = by_opencv(YUNET, image)
        np.testing.assert_allclose(by_ferlab(YUNET, image), expected, atol=1e-3)
        found += len(expected)
    assert found > 8


@pytest.mark.parametrize("size", [(480, 640), (470, 610), (33, 640), (64, 64)])
def test_the_model_of_the_tests_gives_the_detections_of_opencv(size: tuple[int, int], tmp_path: Path) -> None:
    """White cells at random positions, and sizes that need padding."""
    (tmp_path / "model.onnx").write_bytes(bright_cell_detector())
    cells = np.random.default_rng(0).random((size[0] // CELL, size[1] // CELL)) > 0.6
    image = np.zeros((*size, 3), np.uint8)
    image[: cells.shape[0] * CELL, : cells.shape[1] * CELL] = np.kron(cells, np.ones((CELL, CELL)))[..., None] * 255
    factor = max(1.0, 192 / max(size))
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    expected = by_opencv(tmp_path / "model.onnx", image)
    detected = by_ferlab(tmp_path / "model.onnx", image)
    assert len(expected) >= cells.sum() > 0
    np.testing.assert_allclose(sorted(detected.tolist()), sorted(expected.tolist()), atol=1e-3)


def test_no_image_takes_more_than_a_limited_number_of_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image can be full of candidates. The largest ones are searched in turned copies."""
    (tmp_path / "model.onnx").write_bytes(bright_cell_detector())
    detector, sides = YuNet(tmp_path / "model.onnx"), []

    def detect(patch: np.ndarray) -> list[Detection]:
        sides.append(patch.shape[0])
        return []

    monkeypatch.setattr(detector, "_detect", detect)
    faces = [Detection(box=(8.0 * index, 0.0, 8.0, 8.0), score=0.7) for index in range(200)]
    sure = Detection(box=(0.0, 100.0, 90.0, 90.0), score=0.95)
    kept = detector._confirm(np.zeros((200, 1600, 3), np.uint8), [*faces, sure])
    assert len(sides) == 8 * YuNet.MAX_TURNED
    assert len(kept) == 201


@needs_yunet
@pytest.mark.real_data
@pytest.mark.parametrize("size", [(640, 20), (640, 10), (20, 640), (1600, 64), (640, 32)])
def test_images_without_faces_give_no_faces(size: tuple[int, int]) -> None:
    """OpenCV's detector reports faces with coordinates like -2.9e24 in some of them."""
    for brightness in (0, 128, 255):
        assert YuNet(YUNET).detect(np.full((size[1], size[0], 3), brightness, np.uint8)) == []


@needs_yunet
@pytest.mark.real_data
@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
@pytest.mark.parametrize("name", ["couple", "img1", "img13", "img17", "img20", "img58"])
def test_turned_photographs_keep_faces_and_emotions(name: str, quarter_turns: int) -> None:
    photo = cv2.imread(str(MEDIA / f"{name}.jpg"))[..., ::-1]
    height, width = photo.shape[:2]
    predictor = Predictor(detector_model=YUNET)
    upright = predictor.predict(photo)
    turned = predictor.predict(np.rot90(photo, quarter_turns))
    assert len(turned) == len(upright)
    for face in upright:
        assert face.landmarks is not None
        moved = {key: turned_point(point, width, height, quarter_turns) for key, point in face.landmarks.items()}
        same = min(turned, key=lambda other: mean_distance(moved, other.landmarks))
        assert mean_distance(moved, same.landmarks) < 0.1 * max(face.box[2:])
        box = face.box[2:] if quarter_turns == 2 else face.box[:1:-1]
        np.testing.assert_allclose(same.box[2:], box, rtol=0.15)
        if face.confidence > 0.6:  # a face between two emotions may change
            assert same.emotion == face.emotion


def turned_point(point: tuple[float, float], width: int, height: int, quarter_turns: int) -> tuple[float, float]:
    """Return where a point of an image is after `np.rot90`."""
    x, y = point
    return {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[quarter_turns]


def mean_distance(first: dict[str, tuple[float, float]], second: dict[str, tuple[float, float]] | None) -> float:
    assert second is not None
    return float(np.mean([math.dist(first[name], second[name]) for name in LANDMARKS]))
