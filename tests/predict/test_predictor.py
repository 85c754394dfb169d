"""The predictor: face crops, images, and batches."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import Dataset, FerlabError, Predictor
from tests.artifacts import linear_artifact
from tests.scenes import encoded, scene

GRAY = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    linear_artifact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx")


def test_each_crop_gets_its_own_classification(predictor: Predictor) -> None:
    first, second = predictor.classify([GRAY, 255 - GRAY])
    assert first != second
    assert first.confidence == max(first.probabilities.values()) == first.probabilities[first.emotion]
    assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert predictor.classify([GRAY]) == [first]
    assert predictor.classify([]) == []


def test_crops_of_another_dtype_are_refused(predictor: Predictor) -> None:
    with pytest.raises(FerlabError, match="A crop must be"):
        predictor.classify([GRAY.astype(float)])


def test_the_default_model_gives_mirrored_faces_the_same_probabilities(demo: Dataset) -> None:
    faces = list(demo.images[:20])
    results = Predictor().classify([*faces, *(face[:, ::-1] for face in faces)])
    for face, mirrored in zip(results[:20], results[20:], strict=True):
        assert mirrored.probabilities == pytest.approx(face.probabilities, abs=1e-4)
    assert len({result.emotion for result in results}) > 1


# Images in which OpenCV's Haar cascade detects the faces.


@pytest.fixture
def haar(tmp_path: Path) -> Predictor:
    linear_artifact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx", "haar")


def test_boxes_are_in_pixels_of_the_original_image(haar: Predictor, demo: Dataset) -> None:
    """A large JPEG is decoded at reduced size."""
    small = scene(demo, (200, 300, 100))
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    [first], [second] = haar.predict_batch([small, encoded(large, ".jpg")])
    np.testing.assert_allclose(np.array(second.box) / 8, first.box, atol=8)
    assert first.emotion in first.probabilities
    assert first.detection_score is None


def test_arrays_can_have_bgr_channels(haar: Predictor, demo: Dataset) -> None:
    rgb = np.stack([scene(demo, (200, 300, 100))] * 3, axis=2)
    rgb[..., 2] = 0
    assert haar.predict(rgb) == haar.predict(rgb[..., ::-1], channels="bgr") != haar.predict(rgb[..., ::-1])


def test_the_faces_of_a_batch_are_classified_together(
    haar: Predictor, demo: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [scene(demo, (110, 40, 30), (220, 320, 100)), scene(demo), scene(demo, (200, 100, 100))]
    single = [haar.predict(image) for image in images]
    batch_sizes, probabilities = [], haar.artifact.probabilities

    def recording(crops: np.ndarray) -> np.ndarray:
        batch_sizes.append(len(crops))
        return probabilities(crops)

    monkeypatch.setattr(haar.artifact, "probabilities", recording)
    assert haar.predict_batch(images) == single
    assert [len(faces) for faces in single] == [2, 0, 1]
    assert batch_sizes == [3]
    assert haar.predict_batch([]) == []


def test_without_a_detector_the_image_is_the_crop(tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    predictor = Predictor(tmp_path / "linear.onnx", "none")
    [face], [classification] = predictor.predict(GRAY), predictor.classify([GRAY])
    assert face.probabilities == pytest.approx(classification.probabilities, abs=1e-6)
    assert (face.emotion, tuple(face.box)) == (classification.emotion, (0, 0, 48, 48))
