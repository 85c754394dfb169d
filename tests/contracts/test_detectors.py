"""The contract of every face detector, and how the default detector is downloaded.

A new subclass of `Detector` is tested without changes to this file. Where YuNet's own model file is not available, a
small model with the same interface is served from a local HTTP server.
"""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import platformdirs
import pytest

from ferlab import Dataset, Predictor
from ferlab.errors import DetectorError, UnknownNameError
from ferlab.images.detection import Detection, Detector
from ferlab.images.detectors import Haar, WholeImage, detector_names, open_detector
from ferlab.images.yunet import MODEL_VARIABLE, YUNET_SHA256, YuNet, yunet_file
from ferlab.predict.packaged import packaged_file
from tests.detector_models import CELL, bright_cell_detector
from tests.scenes import MEDIA, YUNET, scene

needs_haar = pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="OpenCV has no Haar cascades")
NAMES = [name for name in detector_names() if name != "auto"]
UNREACHABLE = "http://127.0.0.1:9/yunet.onnx"


@pytest.fixture(params=NAMES)
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "yunet" and not YUNET.is_file():
        pytest.skip("YuNet's model file is not available")
    if request.param == "haar" and not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("this version of OpenCV has no Haar cascades")
    return open_detector(request.param, YUNET if request.param == "yunet" else None)


def colored(image: np.ndarray) -> np.ndarray:
    return np.stack([image] * 3, axis=2)


@pytest.mark.parametrize("shape", [(1, 1), (9, 9), (1, 5000), (20, 640), (64, 1600), (5000, 1), (100, 100)])
def test_images_of_any_size_are_accepted(detector: Detector, shape: tuple[int, int]) -> None:
    detections = detector.detect(colored(np.full(shape, 128, np.uint8)))
    assert len(detections) == detector.whole_image


def test_faces_are_located_and_sorted_by_size(detector: Detector, demo: Dataset) -> None:
    if detector.whole_image:
        pytest.skip("this detector does not search")
    detections = detector.detect(colored(scene(demo, (110, 40, 30), (220, 320, 100))))
    assert len(detections) == 2
    for detection, (side, left, top) in zip(detections, ((220, 320, 100), (110, 40, 30)), strict=True):
        x, y, width, height = detection.box
        assert x + width / 2 == pytest.approx(left + side / 2, abs=side / 6)
        assert y + height / 2 == pytest.approx(top + side / 2, abs=side / 6)
        assert side / 2 < np.sqrt(width * height) < 1.2 * side
        assert detection.score is None or 0 <= detection.score <= 1


def test_boxes_are_in_pixels_of_the_original_image(detector: Detector, demo: Dataset) -> None:
    image = scene(demo, (220, 320, 100))
    for factor in (0.25, 6.0):
        resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        [first], [second] = detector.detect(colored(image)), detector.detect(colored(resized))
        np.testing.assert_allclose(np.array(second.box) / factor, first.box, atol=25)
        assert (first.landmarks is None) == (second.landmarks is None)


def test_threads_share_a_detector(detector: Detector, demo: Dataset) -> None:
    images = [colored(scene(demo, (220, 40 * number, 100))) for number in range(8)]
    one_by_one = [detector.detect(image) for image in images]
    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(detector.detect, images * 3)) == one_by_one * 3


def test_a_larger_search_finds_smaller_faces_and_keeps_large_ones(detector: Detector, demo: Dataset) -> None:
    """Small faces lie on the borders of tiles. The large face is larger than the overlap of tiles."""
    if detector.whole_image:
        pytest.skip("this detector does not search")
    small = [(80, left, top) for left in (100, 620, 1100, 1580, 2060) for top in (60, 460)]
    image = colored(scene(demo, *small, (700, 600, 700), size=(1500, 2560)))
    [large, *_] = found = detector.detect(image, search_size=2560)
    assert large.box[2] > 350
    matched = [any(contains(face.box, left + 40, top + 40) for face in found[1:]) for _, left, top in small]
    assert sum(matched) >= 8
    assert len(found) <= 1 + len(small)
    assert len(detector.detect(image)) < len(found)


def contains(box: tuple[float, float, float, float], x: float, y: float) -> bool:
    return box[0] < x < box[0] + box[2] and box[1] < y < box[1] + box[3]


@pytest.mark.parametrize(
    "box",
    [
        (np.nan, 0, 9, 9),
        (0, np.inf, 9, 9),
        (0, 0, 0, 9),
        (0, 0, 9, -1),
        (-10, 0, 9, 9),
        (0, 200, 9, 9),
        (-2.9e24, 0, 9, 9),
    ],
)
def test_impossible_detections_are_dropped(box: tuple[float, float, float, float]) -> None:
    possible = Detection(box=(-3, 190, 9, 20), score=0.7)

    class Fixed(WholeImage):
        def _detect(self, image: np.ndarray) -> list[Detection]:
            return [Detection(box=box, score=1.0), possible]

    assert Detector.detect(Fixed(), np.zeros((200, 300, 3), np.uint8)) == [possible]


@pytest.mark.real_data
def test_yunet_counts_the_faces_in_photographs() -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    detector = YuNet(YUNET)
    counts = {file.name: len(detector.detect(cv2.imread(str(file))[..., ::-1])) for file in MEDIA.glob("*.jpg")}
    assert counts.pop("couple.jpg") == 2
    assert counts.pop("no-faces.jpg") == 0
    assert set(counts.values()) == {1}


@pytest.mark.real_data
def test_the_expected_hash_is_that_of_the_model() -> None:
    if not YUNET.is_file():
        pytest.skip("YuNet's model file is not available")
    assert hashlib.sha256(YUNET.read_bytes()).hexdigest() == YUNET_SHA256


@pytest.mark.real_data
def test_left_and_right_landmarks_are_from_the_persons_point_of_view() -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    [face] = YuNet(YUNET).detect(cv2.imread(str(MEDIA / "img20.jpg"))[..., ::-1])
    points = face.landmarks
    assert points is not None
    assert points["right_eye"][0] < points["nose"][0] < points["left_eye"][0]
    assert points["left_eye"][1] < points["nose"][1] < points["mouth_left"][1]


# The download of the default detector. Each test starts with an empty cache.


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, http_folder: tuple[Path, str]) -> Path:
    """Serve a detector model at YuNet's address. Returns its file on the server."""
    folder, address = http_folder
    content = bright_cell_detector() if not YUNET.is_file() else YUNET.read_bytes()
    (folder / "yunet.onnx").write_bytes(content)
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", f"{address}/yunet.onnx")
    monkeypatch.setattr("ferlab.images.yunet.YUNET_SHA256", hashlib.sha256(content).hexdigest())
    return folder / "yunet.onnx"


@pytest.fixture
def bright_cells(monkeypatch: pytest.MonkeyPatch, served: Path) -> Path:
    """Serve the model that detects white cells, whether or not YuNet is available."""
    served.write_bytes(bright_cell_detector())
    monkeypatch.setattr("ferlab.images.yunet.YUNET_SHA256", hashlib.sha256(served.read_bytes()).hexdigest())
    return served


def cached_files() -> list[Path]:
    return [path for path in platformdirs.user_cache_path("ferlab").rglob("*") if path.is_file()]


def test_the_model_is_downloaded_once(served: Path) -> None:
    content = served.read_bytes()
    for name in ("auto", "yunet"):
        assert isinstance(open_detector(name), YuNet)
        served.unlink(missing_ok=True)  # from now on, only the cached copy is left
    assert [path.read_bytes() for path in cached_files()] == [content]
    assert yunet_file() == cached_files()[0]


def test_the_downloaded_model_detects_faces(bright_cells: Path) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    left, top = 3 * CELL, 2 * CELL
    image[top : top + CELL, left : left + CELL] = 255
    [detection] = open_detector("auto").detect(image)
    assert detection.box == pytest.approx((left, top, CELL, CELL))
    assert detection.score == pytest.approx(1)
    assert detection.landmarks is not None
    assert detection.landmarks["right_eye"] == pytest.approx((left + 0.3 * CELL, top + 0.4 * CELL))
    assert detection.landmarks["mouth_left"] == pytest.approx((left + 0.7 * CELL, top + 0.8 * CELL))
    [face] = Predictor().predict(image)
    assert face.box == (left, top, CELL, CELL)
    assert face.detection_score == detection.score


def test_a_download_with_another_hash_is_refused(served: Path) -> None:
    served.write_bytes(served.read_bytes() + b"changed on the way")
    with pytest.raises(DetectorError, match=r"was refused: the SHA-256 of http.*yunet\.onnx is not the expected one"):
        open_detector("yunet")
    assert cached_files() == []


def test_a_corrupt_cached_file_is_downloaded_again(served: Path) -> None:
    path = yunet_file()
    path.write_bytes(b"corrupt")
    assert yunet_file().read_bytes() == served.read_bytes()
    path.write_bytes(b"corrupt")
    served.unlink()
    with pytest.raises(DetectorError, match="could not be downloaded"):
        yunet_file()


def test_a_missing_file_on_the_server_is_an_error(served: Path) -> None:
    served.unlink()
    with pytest.raises(DetectorError, match=r"could not be downloaded from http.*\(HTTPError\).*--detector-model"):
        open_detector("yunet")


@needs_haar
def test_auto_falls_back_to_haar_without_a_network(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", UNREACHABLE)
    with caplog.at_level(logging.WARNING, "ferlab"):
        assert isinstance(open_detector("auto"), Haar)
    assert "could not be downloaded" in caplog.text
    assert "--detector-model" in caplog.text
    assert "Using OpenCV's Haar cascade instead" in caplog.text
    with pytest.raises(DetectorError, match="could not be downloaded"):
        open_detector("yunet")


def test_a_cached_model_needs_no_network(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yunet_file()
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", UNREACHABLE)
    assert isinstance(open_detector("auto"), YuNet)


def test_a_given_model_file_is_used_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", UNREACHABLE)
    (tmp_path / "model.onnx").write_bytes(bright_cell_detector())
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "none.onnx"))
    assert isinstance(open_detector("auto", tmp_path / "model.onnx"), YuNet)
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "model.onnx"))
    assert isinstance(open_detector("auto"), YuNet)


def test_a_bad_model_file_is_an_error_even_for_auto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "other.onnx"))
    for name in ("auto", "yunet"):
        with pytest.raises(DetectorError, match=r"other\.onnx does not exist"):
            open_detector(name)
    (tmp_path / "other.onnx").write_bytes(b"not a network")
    for model in (None, packaged_file("fer2013")):
        with pytest.raises(DetectorError, match="is not a YuNet face detector that ONNX Runtime can load"):
            open_detector("auto", model)


def test_a_model_file_for_a_detector_without_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="has no model file"):
        open_detector("haar", tmp_path / "other.onnx")


def test_opencv_without_haar_cascades(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """OpenCV 5 has none: `auto` says why YuNet is not available, and `haar` what to install."""
    monkeypatch.delattr("cv2.CascadeClassifier", raising=False)
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", UNREACHABLE)
    with pytest.raises(
        DetectorError, match=r"OpenCV .* has no Haar cascades\. Choose the detector 'yunet', or install"
    ):
        open_detector("haar")
    with pytest.raises(DetectorError, match=r"could not be downloaded .*--detector-model"):
        open_detector("auto")
    assert "Haar" not in caplog.text


def test_an_unknown_detector_name_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'yunet'"):
        open_detector("yunt")
