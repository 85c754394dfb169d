"""What every face detector must do: a new subclass is tested without a change here."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import Dataset
from ferlab.errors import DetectorError, UnknownNameError
from ferlab.images.detectors import (
    MODEL_VARIABLE,
    Detector,
    Haar,
    YuNet,
    detector_names,
    open_detector,
    yunet_file,
)
from ferlab.predict.artifact import DEFAULT
from tests.scenes import MEDIA, YUNET, scene

NAMES = [name for name in detector_names() if name != "auto"]


@pytest.fixture(params=NAMES)
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "yunet" and not YUNET.is_file():
        pytest.skip("YuNet's file is not at hand")
    return open_detector(request.param, YUNET if request.param == "yunet" else None)


def colored(picture: np.ndarray) -> np.ndarray:
    return np.stack([picture] * 3, axis=2)


@pytest.mark.parametrize("shape", [(1, 1), (9, 9), (1, 5000), (5000, 1), (100, 100)])
def test_any_size_is_searched(detector: Detector, shape: tuple[int, int]) -> None:
    found = detector.detect(colored(np.full(shape, 128, np.uint8)))
    assert len(found) == detector.framed


def test_faces_are_found_where_they_are_the_largest_first(detector: Detector, demo: Dataset) -> None:
    if detector.framed:
        pytest.skip("it does not search")
    found = detector.detect(colored(scene(demo, (110, 40, 30), (220, 320, 100))))
    assert len(found) == 2
    for detection, (side, left, top) in zip(found, ((220, 320, 100), (110, 40, 30)), strict=True):
        x, y, width, height = detection.box
        assert x + width / 2 == pytest.approx(left + side / 2, abs=side / 6)
        assert y + height / 2 == pytest.approx(top + side / 2, abs=side / 6)
        assert side / 2 < np.sqrt(width * height) < 1.2 * side
        assert detection.score is None or 0 <= detection.score <= 1


def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(detector: Detector, demo: Dataset) -> None:
    picture = scene(demo, (220, 320, 100))
    for factor in (0.25, 6.0):
        scaled = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        [first], [second] = detector.detect(colored(picture)), detector.detect(colored(scaled))
        np.testing.assert_allclose(np.array(second.box) / factor, first.box, atol=25)
        assert (first.landmarks is None) == (second.landmarks is None)


@pytest.mark.real_data
def test_photographs() -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not at hand")
    detector = YuNet(YUNET)
    numbers = {file.name: len(detector.detect(cv2.imread(str(file))[..., ::-1])) for file in MEDIA.glob("*.jpg")}
    assert numbers.pop("couple.jpg") == 2
    assert numbers.pop("no-faces.jpg") == 0
    assert set(numbers.values()) == {1}


def test_landmarks_are_those_of_the_person() -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not at hand")
    [face] = YuNet(YUNET).detect(cv2.imread(str(MEDIA / "img20.jpg"))[..., ::-1])
    points = face.landmarks
    assert points is not None
    assert points["right_eye"][0] < points["nose"][0] < points["left_eye"][0]
    assert points["left_eye"][1] < points["nose"][1] < points["mouth_left"][1]


def test_without_a_network_auto_falls_back_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.detectors.YUNET_URL", "http://127.0.0.1:9/yunet.onnx")
    with caplog.at_level(logging.WARNING, "ferlab"):
        assert isinstance(open_detector("auto"), Haar)
    assert "could not be fetched" in caplog.text
    assert "--detector-model" in caplog.text
    with pytest.raises(DetectorError, match="could not be fetched"):
        open_detector("yunet")


def test_the_fetched_file_is_checked_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, http_folder: tuple[Path, str]
) -> None:
    """By a server of our own, with a file of our own."""
    import hashlib

    folder, address = http_folder
    (folder / "yunet.onnx").write_bytes(b"a detector")
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.detectors.YUNET_URL", f"{address}/yunet.onnx")
    monkeypatch.setattr("ferlab.images.detectors.YUNET_SHA256", "0" * 64)
    with pytest.raises(DetectorError, match="could not be fetched"):
        yunet_file()
    monkeypatch.setattr("ferlab.images.detectors.YUNET_SHA256", hashlib.sha256(b"a detector").hexdigest())
    path = yunet_file()
    assert path.read_bytes() == b"a detector"
    (folder / "yunet.onnx").unlink()
    assert yunet_file() == path
    with pytest.raises(DetectorError, match="is no YuNet face detector"):
        YuNet()


def test_a_file_that_was_named_is_used_or_complained_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "other.onnx"))
    for name in ("auto", "yunet"):
        with pytest.raises(DetectorError, match=r"other\.onnx does not exist"):
            open_detector(name)
    (tmp_path / "other.onnx").write_bytes(b"no network")
    for model in (None, DEFAULT):
        with pytest.raises(DetectorError, match="is no YuNet face detector"):
            open_detector("auto", model)
    with pytest.raises(DetectorError, match="takes no model file"):
        open_detector("haar", tmp_path / "other.onnx")
    with pytest.raises(UnknownNameError, match="Did you mean 'yunet'"):
        open_detector("yunt")
