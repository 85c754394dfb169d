"""The predictor: crops of any size and color."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import Dataset, FerlabError, Predictor
from ferlab.images.crop import resize_crop
from tests.artifacts import linear_artifact
from tests.scenes import encoded, scene

GRAY = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    linear_artifact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx")


def test_each_crop_gets_an_answer_of_its_own(predictor: Predictor) -> None:
    first, second = predictor.classify([GRAY, 255 - GRAY])
    assert first != second
    assert first.confidence == max(first.probabilities.values()) == first.probabilities[first.emotion]
    assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert predictor.classify([GRAY]) == [first]
    assert predictor.classify([]) == []


def test_gray_and_color_are_the_same_picture() -> None:
    np.testing.assert_array_equal(resize_crop(GRAY[..., None]), GRAY)
    np.testing.assert_array_equal(resize_crop(np.stack([GRAY] * 3, axis=2)), GRAY)


def test_colors_are_red_green_blue() -> None:
    """Weights of ITU-R BT.601: red counts 0.299, blue 0.114."""
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 255
    assert resize_crop(red).mean() == pytest.approx(76, abs=1)


@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (500, 300), (47, 2000, 3)])
def test_any_size_is_scaled(shape: tuple[int, ...]) -> None:
    scaled = resize_crop(np.full(shape, 77, np.uint8))
    assert scaled.shape == (48, 48)
    assert set(np.unique(scaled)) == {77}


def test_what_is_no_picture_is_refused(predictor: Predictor) -> None:
    for crop in (GRAY.astype(float), GRAY[0], np.zeros((0, 5), np.uint8), np.zeros((5, 5, 2), np.uint8)):
        with pytest.raises(FerlabError, match="A crop must be"):
            predictor.classify([crop])


def test_the_packages_network_says_the_same_of_a_face_and_its_mirror_image(demo: Dataset) -> None:
    faces = list(demo.images[:20])
    answers = Predictor().classify([*faces, *(face[:, ::-1] for face in faces)])
    for face, mirrored in zip(answers[:20], answers[20:], strict=True):
        assert mirrored.probabilities == pytest.approx(face.probabilities, abs=1e-4)
    assert len({answer.emotion for answer in answers}) > 1


# Pictures with faces, found by OpenCV's cascade.


@pytest.fixture
def finder(tmp_path: Path) -> Predictor:
    linear_artifact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx", "haar")


def test_boxes_are_in_pixels_of_the_original(finder: Predictor, demo: Dataset) -> None:
    """Though a large JPEG is decoded at a fraction of its size."""
    small = scene(demo, (200, 300, 100))
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    [one], [other] = finder.predict_batch([small, encoded(large, ".jpg")])
    np.testing.assert_allclose(np.array(other.box) / 8, one.box, atol=8)
    assert one.emotion in one.probabilities and one.detection_score is None


def test_colors_may_come_in_opencvs_order(finder: Predictor, demo: Dataset) -> None:
    rgb = np.stack([scene(demo, (200, 300, 100))] * 3, axis=2)
    rgb[..., 2] = 0
    assert finder.predict(rgb) == finder.predict(rgb[..., ::-1], channels="bgr") != finder.predict(rgb[..., ::-1])


def test_faces_of_many_pictures_are_classified_together(
    finder: Predictor, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [scene(demo, (110, 40, 30), (220, 320, 100)), scene(demo), scene(demo, (200, 100, 100))]
    single = [finder.predict(picture) for picture in pictures]
    asked, probabilities = [], finder.artifact.probabilities

    def counting(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return probabilities(images)

    monkeypatch.setattr(finder.artifact, "probabilities", counting)
    assert finder.predict_batch(pictures) == single
    assert [len(faces) for faces in single] == [2, 0, 1]
    assert asked == [3]
    assert finder.predict_batch([]) == []


def test_a_crop_is_what_the_whole_picture_is_without_a_detector(tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    whole = Predictor(tmp_path / "linear.onnx", "none")
    [face], [answer] = whole.predict(GRAY), whole.classify([GRAY])
    assert face.probabilities == pytest.approx(answer.probabilities, abs=1e-6)
    assert (face.emotion, tuple(face.box)) == (answer.emotion, (0, 0, 48, 48))
