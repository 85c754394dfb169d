"""Folders of pictures: what is meant, what comes of it, and that memory stays flat."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferlab import Dataset, Predictor
from ferlab.errors import DetectorError, FerlabError, ImageError, OutputError
from ferlab.images.crop import crop_face
from ferlab.images.detectors import MODEL_VARIABLE, Detection
from ferlab.predict.batch import list_images, predict_files, write_predictions
from ferlab.predict.table import open_writer
from tests.artifacts import linear_artifact
from tests.images.test_decode import png_of_size
from tests.predict.test_table import rows_of
from tests.scenes import encoded, scene


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    linear_artifact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx", "haar")


@pytest.fixture
def photos(demo: Dataset, tmp_path: Path) -> Path:
    """Two faces, one face, none, and a broken file; another face in a folder of its own."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    two, one = scene(demo, (110, 40, 30), (220, 320, 100)), scene(demo, (200, 100, 100))
    for name, content in {
        "a.png": encoded(two),
        "b.jpg": encoded(one, ".jpg"),
        "c.png": encoded(scene(demo)),
        "d.jpg": b"no picture",
        "deep/e.webp": encoded(one, ".webp"),
        "notes.txt": b"left alone",
        ".hidden.png": encoded(one),
    }.items():
        (folder / name).write_bytes(content)
    return folder


def test_what_is_meant(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [str(place) for place in list_images([photos]).values()] == ["a.png", "b.jpg", "c.png", "d.jpg"]
    assert str(list_images([photos], recursive=True)[photos / "deep" / "e.webp"]) == str(Path("deep/e.webp"))
    assert list(list_images([photos / "*.png", photos / "a.png"])) == [photos / "a.png", photos / "c.png"]
    assert list(list_images([photos / "notes.txt"])) == [photos / "notes.txt"]  # whoever names it, means it
    (photos / "deep" / "a.png").write_bytes(b"another one of that name")
    assert [str(place) for place in list_images([photos / "a.png", photos / "deep"]).values()] == [
        "a.png", "a-2.png", "e.webp",
    ]  # fmt: skip
    with pytest.raises(ImageError, match="nowhere does not exist"):
        list_images([photos, "nowhere"])
    (photos / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(ImageError, match="There are no pictures in .*--recursive"):
        list_images([photos / "empty"])


def test_answers_come_in_order_and_are_those_of_single_calls(predictor: Predictor, photos: Path) -> None:
    files = list(list_images([photos], recursive=True))
    found = list(predict_files(predictor, files, threads=3))
    assert [file for file, _ in found] == files
    for file, faces in found:
        if file.name == "d.jpg":
            assert isinstance(faces, FerlabError)
            assert "d.jpg: it is no picture" in str(faces)
        else:
            assert faces == predictor.predict(file)
    assert [len(faces) for _, faces in found if isinstance(faces, list)] == [2, 1, 0, 1]


def test_rows_and_drawn_copies(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    files, drawn = list_images([photos], recursive=True), tmp_path / "drawn"
    with open_writer(tmp_path / "faces.csv", None, predictor.artifact.class_names) as writer:
        counts = write_predictions(predictor, files, writer, annotate=drawn)
    assert counts == {"ok": 4, "no_face": 1, "error": 1}
    assert len(rows_of(tmp_path / "faces.csv")) == 6
    assert sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*.*")) == [
        "a.png", "b.jpg", "c.png", str(Path("deep/e.webp")),
    ]  # fmt: skip
    import cv2

    before, after = (cv2.imread(str(path / "a.png")) for path in (photos, drawn))
    assert before.shape == after.shape
    assert 0.002 < np.mean(np.any(before != after, axis=2)) < 0.1


def test_copies_never_lie_among_the_pictures(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in photos.rglob("*.*")}
    for paths, annotate in (([photos], photos), ([photos / "a.png"], photos), ([photos / "deep"], photos / "deep")):
        writer = open_writer(None, None, predictor.artifact.class_names)
        with pytest.raises(OutputError, match="holds the pictures themselves"):
            write_predictions(predictor, list_images(paths), writer, annotate=annotate)
    assert {file: file.read_bytes() for file in photos.rglob("*.*")} == before
    drawn = photos / "deep"
    assert photos / "deep" / "e.webp" not in list_images([photos], recursive=True, drawn=drawn)
    assert photos / "deep" / "e.webp" in list_images([drawn], recursive=True, drawn=drawn)


def test_sides_of_any_length(predictor: Predictor, demo: Dataset, tmp_path: Path) -> None:
    """OpenCV warps no sides above 32,767 pixels, and JPEG holds none above 65,500."""
    strip = scene(demo, (180, 60_000, 10), size=(200, 66_000))
    (tmp_path / "strip.png").write_bytes(encoded(strip))
    (tmp_path / "strip").mkdir()
    with open_writer(None, None, predictor.artifact.class_names) as writer:
        files = {tmp_path / "strip.png": Path("strip.jpg")}
        counts = write_predictions(
            Predictor(predictor.artifact.path, "none"), files, writer, annotate=tmp_path / "drawn"
        )
    assert counts == {"ok": 1}
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["strip.jpg.png"]
    crops = [crop_face(picture, Detection(box=(left, 10, 180, 180)), 0) for picture, left in (
        (np.stack([strip] * 3, axis=2), 60_000), (np.stack([strip[:, 59_000:61_000]] * 3, axis=2), 1_000),
    )]  # fmt: skip
    np.testing.assert_array_equal(*crops)


def test_one_picture_that_cannot_be_drawn_stops_nothing(
    predictor: Predictor, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Vanishing(Predictor):
        def classify_found(self, pictures):
            (photos / "a.png").unlink(missing_ok=True)
            return super().classify_found(pictures)

    with open_writer(None, None, predictor.artifact.class_names) as writer:
        predictor = Vanishing(predictor.artifact.path, "haar")
        counts = write_predictions(predictor, list_images([photos]), writer, annotate=tmp_path / "drawn")
    assert counts == {"ok": 3, "no_face": 1, "error": 1}
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["b.jpg", "c.png"]
    assert re.search(r"a\.png: not drawn \(.*does not exist", caplog.text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_what_is_no_file_and_names_too_long(predictor: Predictor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    [(_, error)] = predict_files(predictor, [tmp_path / "pipe.jpg"])
    assert str(error).endswith("pipe.jpg: it is no file")
    with pytest.raises(ImageError, match="File name too long"):
        list_images([tmp_path / ("a" * 300 + ".jpg")])


def test_a_detector_that_cannot_be_had_is_told_once(photos: Path, tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    predictor = Predictor(tmp_path / "linear.onnx", "yunet", detector_model=tmp_path / "none.onnx")
    with pytest.raises(DetectorError, match=r"none\.onnx does not exist"):
        list(predict_files(predictor, [photos / "a.png"]))


def test_few_pictures_are_in_memory_at_a_time(predictor: Predictor, photos: Path) -> None:
    """Ten times as many pictures take no more memory: the files are asked for as they are needed."""
    asked = 0
    (photos / "small.png").write_bytes(encoded(np.zeros((20, 20), np.uint8)))

    def files():
        nonlocal asked
        for _ in range(500):
            asked += 1
            yield photos / "small.png"

    answers = predict_files(predictor, files(), threads=2)
    next(answers)
    assert asked < 100
    assert sum(1 for _ in answers) == 499


def test_files_from_strangers_get_a_row_each(predictor: Predictor, demo: Dataset, tmp_path: Path) -> None:
    """Cut short, with bits flipped, named wrongly, animated, or claiming more pixels than anybody has memory for."""
    folder, generator = tmp_path / "strange", np.random.default_rng(0)
    folder.mkdir()
    face = scene(demo, (200, 100, 100))
    whole = {suffix: encoded(face, suffix) for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff")}
    for number in range(60):
        suffix = list(whole)[number % len(whole)]
        content = bytearray(whole[suffix])
        for place in generator.integers(0, len(content), 3):
            content[place] ^= 1 << int(generator.integers(0, 8))
        (folder / f"flipped{number}{suffix}").write_bytes(content)
        (folder / f"cut{number}{suffix}").write_bytes(whole[suffix][: generator.integers(1, len(whole[suffix]))])
    frames = [Image.new("L", (8, 8), gray) for gray in (0, 255)]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    (folder / "bomb.png").write_bytes(png_of_size(2**31 - 1, 2**31 - 1))
    (folder / "large.png").write_bytes(png_of_size(9_000, 9_000))
    (folder / "page.jpg").write_text("<html></html>")
    (folder / "really-a-png.jpg").write_bytes(whole[".png"])
    files = list_images([folder])
    with open_writer(tmp_path / "rows.csv", None, predictor.artifact.class_names) as writer:
        write_predictions(predictor, files, writer)
    rows = {Path(row["source"]).name: row for row in rows_of(tmp_path / "rows.csv")}
    assert rows.keys() == {file.name for file in files}
    reasons = {"film.gif": "it moves", "bomb.png": "", "large.png": "it has 9000x9000 pixels", "page.jpg": "no picture"}
    for name, reason in reasons.items():
        assert rows[name]["status"] == "error"
        assert reason in rows[name]["reason"]
    assert rows["really-a-png.jpg"]["status"] == "ok"
    assert sum(row["status"] == "error" for row in rows.values()) > 60


def test_what_auto_comes_to_is_said_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.detectors.YUNET_URL", "http://127.0.0.1:9/yunet.onnx")
    linear_artifact(tmp_path / "linear.onnx")
    found = list(predict_files(Predictor(tmp_path / "linear.onnx"), [photos / "a.png"] * 8, threads=3))
    assert {len(faces) for _, faces in found if isinstance(faces, list)} == {2}
    assert caplog.text.count("could not be fetched") == 1
