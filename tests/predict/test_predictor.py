"""The predictor: face crops, images, and batches."""

import base64
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ferlab import Dataset, Predictor
from ferlab.errors import DetectorError, ImageError
from ferlab.images.decode import DecodedImage, read_image
from ferlab.predict import Prediction
from tests.artifacts import linear_artifact
from tests.detector_models import CELL, bright_cell_detector
from tests.scenes import MEDIA, YUNET, encoded, scene

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


def test_crops_of_every_range_get_the_same_classification(predictor: Predictor) -> None:
    floats = (GRAY / 255).astype(np.float32)
    assert len({repr(result) for result in predictor.classify([GRAY, GRAY[..., None], floats, GRAY.astype(int)])}) == 1


def test_crops_that_are_no_images_are_refused(predictor: Predictor) -> None:
    with pytest.raises(ImageError, match="neither 0..1 nor 0..255"):
        predictor.classify([GRAY / 127.5 - 1])
    with pytest.raises(ImageError, match="A crop must be"):
        predictor.classify([np.zeros((48, 48, 4), np.uint8)])


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 3), (5, 48, 48)])
def test_one_array_is_not_a_list_of_crops(predictor: Predictor, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"Crops must be a list, got one ndarray. Pass \[crop\], or list\(crops\)"):
        predictor.classify(np.zeros(shape, np.uint8))


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
    [first], [second] = haar.predict([small, encoded(large, ".jpg")])
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
    assert [prediction.faces for prediction in haar.predict(images)] == [prediction.faces for prediction in single]
    assert [len(prediction) for prediction in single] == [2, 0, 1]
    assert batch_sizes == [3]
    assert haar.predict([]) == []


def test_without_a_detector_the_image_is_the_crop(tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    predictor = Predictor(tmp_path / "linear.onnx", "none")
    [face], [classification] = predictor.predict(GRAY), predictor.classify([GRAY])
    assert face.probabilities == pytest.approx(classification.probabilities, abs=1e-6)
    assert (face.emotion, tuple(face.box)) == (classification.emotion, (0, 0, 48, 48))


# Several images, and streams.


def test_a_collection_gives_a_list_and_one_image_gives_one_prediction(predictor: Predictor, tmp_path: Path) -> None:
    whole = Predictor(predictor.artifact.path, "none")
    (tmp_path / "photo.png").write_bytes(encoded(GRAY))
    one = whole.predict(tmp_path / "photo.png")
    assert isinstance(one, Prediction)
    for several in ([tmp_path / "photo.png"] * 2, (path for path in [str(tmp_path / "photo.png")] * 2)):
        assert whole.predict(several) == [one, one]
    assert [item.source for item in whole.predict([GRAY, encoded(GRAY)])] == ["images[0]", "images[1]"]


@pytest.mark.real_data
def test_every_kind_of_a_photo_gives_the_same_faces() -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    predictor, path = Predictor(detector_model=YUNET), MEDIA / "img1.jpg"
    content, photo = path.read_bytes(), Image.open(path)
    array = np.asarray(photo)
    [expected] = predictor.predict(path)
    assert expected.emotion == "happy"
    kinds = [str(path), content, base64.b64encode(content).decode(), io.BytesIO(content), photo, array]
    kinds += [array / 255, array.astype(np.float32), np.moveaxis(array, 2, 0) / np.float32(255)]
    for prediction in predictor.predict(kinds):
        [face] = prediction
        assert (prediction.width, prediction.height, face.emotion) == (947, 1280, "happy")
        assert face.confidence == pytest.approx(expected.confidence, abs=0.02)  # a large JPEG may be decoded smaller
        np.testing.assert_allclose(face.box, expected.box, atol=10)


def test_what_is_no_collection_is_not_iterated(predictor: Predictor) -> None:
    for source, reason in (
        ("x.jpg", r"x\.jpg.* does not exist"),
        (np.zeros((2, 48, 48, 3), np.uint8), "a batch of images"),
        ([GRAY, np.zeros((2, 48, 48, 3), np.uint8)], "a batch of images"),
        ([GRAY, "x.jpg"], r"x\.jpg.* does not exist"),
        ([GRAY, b"text"], r"images\[1\]: not an image"),
        ([[GRAY]], "got list"),
    ):
        with pytest.raises(ImageError, match=reason):
            predictor.predict(source)


def test_a_stream_reads_each_image_when_its_prediction_is_asked_for(predictor: Predictor) -> None:
    whole, read = Predictor(predictor.artifact.path, "none"), []

    def frames() -> Iterator[np.ndarray]:
        for number in range(3):
            read.append(number)
            yield GRAY

    stream = whole.predict(frames(), stream=True)
    assert read == []
    assert next(stream).faces == whole.predict(GRAY).faces
    assert read == [0]
    assert len(list(stream)) == 2
    assert len(list(whole.predict(GRAY, stream=True))) == 1


def test_urls_are_downloaded_only_if_they_are_allowed(haar: Predictor, http_folder: tuple[Path, str]) -> None:
    folder, url = http_folder
    (folder / "photo.png").write_bytes(encoded(GRAY))
    with pytest.raises(ImageError, match="is not downloaded"):
        haar.predict(f"{url}/photo.png")
    allowing = Predictor(haar.artifact.path, "none", allow_urls=True)
    [prediction] = allowing.predict([f"{url}/photo.png"])
    assert prediction.source == f"{url}/photo.png"
    assert len(prediction) == 1
    (folder / "photo.png").unlink()
    assert prediction.plot().shape == (48, 48, 3)  # the image is not downloaded again


def test_the_largest_faces_are_kept(haar: Predictor, demo: Dataset) -> None:
    image = scene(demo, (110, 40, 30), (220, 320, 100))
    large, small = haar.predict(image)
    assert large.box.width > small.box.width
    assert Predictor(haar.artifact.path, "haar", max_faces=1).predict(image).faces == [large]
    assert Predictor(haar.artifact.path, "haar", max_faces=9).predict(image).faces == [large, small]
    with pytest.raises(DetectorError, match="max_faces must be at least 1"):
        Predictor(haar.artifact.path, max_faces=0)


# Threads and processes.


def test_threads_share_a_predictor(haar: Predictor, demo: Dataset) -> None:
    images = [scene(demo, (100 + 10 * number, 40, 30)) for number in range(8)]
    expected = [prediction.faces for prediction in map(haar.predict, images)]
    with ThreadPoolExecutor(4) as executor:
        assert [prediction.faces for prediction in executor.map(haar.predict, images * 3)] == expected * 3


def test_a_pickled_predictor_is_the_same_one(haar: Predictor) -> None:
    options = {"detector": "haar", "threads": 1, "max_faces": 3, "allow_urls": True}
    predictor = Predictor(haar.artifact.path, **options)
    copy = pickle.loads(pickle.dumps(predictor))
    assert copy.settings == predictor.settings
    assert (copy.threads, copy.max_faces, copy.allow_urls) == (1, 3, True)


def test_a_predictor_works_in_a_spawned_process(haar: Predictor, demo: Dataset) -> None:
    image = scene(demo, (200, 100, 100))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(haar.predict, [image]) == haar.predict(image)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks need POSIX")
def test_a_predictor_works_in_a_forked_process(haar: Predictor, tmp_path: Path) -> None:
    """The threads of its parent do not exist there. As in `multiprocessing`, the process ends without cleaning up."""
    code = f"""
import os, sys, numpy as np, ferlab
predictor = ferlab.Predictor({str(haar.artifact.path)!r}, "haar", threads=4)
images = [np.zeros((200, 300, 3), np.uint8)]
crops = [np.zeros((48, 48), np.uint8)] * 300
expected = predictor.predict(images), predictor.classify(crops)
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit((predictor.predict(images), predictor.classify(crops)) != expected)
"""
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], check=True, timeout=60)


# Images in which a small network detects white cells of 32 pixels.


def white_cells(corners: list[tuple[int, int]], side: int, size: tuple[int, int]) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    for left, top in corners:
        image[top : top + side, left : left + side] = 255
    return image


def test_a_large_jpeg_is_decoded_again_if_a_face_is_smaller_than_a_crop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(bright_cell_detector())
    predictor = Predictor(detector_model=tmp_path / "model.onnx")
    sides = []

    def recording(source: object, **options: object) -> DecodedImage:
        sides.append(options["sufficient_side"])
        return read_image(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("ferlab.predict.predictor.read_image", recording)
    [face] = predictor.predict(encoded(white_cells([(512, 256)], 128, (1440, 2560)), ".jpg"))
    assert face.box == (512, 256, 128, 128)
    assert sides == [640, 960]  # the face has 32 of 640 pixels, and 48 of 960
    assert predictor.predict(encoded(white_cells([], 128, (1440, 2560)), ".jpg")).faces == []
    assert sides == [640, 960, 640]


def test_the_search_size_determines_which_faces_are_found(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(bright_cell_detector())
    image = white_cells([(320, 64), (1600, 1280)], CELL, (1440, 2560))
    small, large = (Predictor(detector_model=tmp_path / "model.onnx", search_size=size) for size in (640, 2560))
    assert not small.predict(image).faces
    assert sorted(face.box for face in large.predict(image)) == [(320, 64, CELL, CELL), (1600, 1280, CELL, CELL)]


def test_another_detector_shares_the_model_and_the_limit_of_memory(predictor: Predictor, demo: Dataset) -> None:
    other = predictor.with_detector("none")
    assert (other.artifact, other._budget) == (predictor.artifact, predictor._budget)
    assert (predictor.detector.name, other.detector.name) != ("none", "none")
    assert len(other.predict(demo.images[0]).faces) == 1
