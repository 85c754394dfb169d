"""Folders of images: their rows and annotated copies, and bounded memory."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ferlab import Dataset, Predictor
from ferlab.cli import app
from ferlab.errors import DetectorError, FerlabError, OutputError
from ferlab.images.listing import list_images
from ferlab.images.yunet import MODEL_VARIABLE
from ferlab.predict import Prediction
from ferlab.predict.batch import BATCH, predict_files, write_predictions
from ferlab.predict.table_files import open_writer
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
    """Images with two faces, one face and none, a broken file, and another image in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    two, one = scene(demo, (110, 40, 30), (220, 320, 100)), scene(demo, (200, 100, 100))
    for name, content in {
        "a.png": encoded(two),
        "b.jpg": encoded(one, ".jpg"),
        "c.png": encoded(scene(demo)),
        "d.jpg": b"not an image",
        "deep/e.webp": encoded(one, ".webp"),
        "notes.txt": b"left alone",
        ".hidden.png": encoded(one),
    }.items():
        (folder / name).write_bytes(content)
    return folder


def test_results_are_in_order_and_equal_those_of_single_calls(predictor: Predictor, photos: Path) -> None:
    files = list(list_images([photos], recursive=True))
    results = list(predict_files(predictor, files, threads=3))
    assert [file for file, _ in results] == files
    for file, result in results:
        if file.name == "d.jpg":
            assert isinstance(result, FerlabError)
            assert "d.jpg: not an image" in str(result)
        else:
            assert result == predictor.predict(file)
    assert [len(result) for _, result in results if isinstance(result, Prediction)] == [2, 1, 0, 1]


def test_rows_and_annotated_images(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    files, annotated = list_images([photos], recursive=True), tmp_path / "annotated"
    with open_writer(tmp_path / "faces.csv", None, predictor.artifact.class_names) as writer:
        counts = write_predictions(predictor, files, writer, annotate=annotated)
    assert counts == {"ok": 4, "no_face": 1, "error": 1}
    assert len(rows_of(tmp_path / "faces.csv")) == 6
    assert sorted(str(path.relative_to(annotated)) for path in annotated.rglob("*.*")) == [
        "a.png", "b.jpg", "c.png", str(Path("deep/e.webp")),
    ]  # fmt: skip
    import cv2

    before, after = (cv2.imread(str(path / "a.png")) for path in (photos, annotated))
    assert before.shape == after.shape
    assert 0.002 < np.mean(np.any(before != after, axis=2)) < 0.1


def test_annotated_images_are_not_written_to_the_folders_of_the_originals(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    before = {file: file.read_bytes() for file in photos.rglob("*.*")}
    for paths, annotate in (([photos], photos), ([photos / "a.png"], photos), ([photos / "deep"], photos / "deep")):
        writer = open_writer(None, None, predictor.artifact.class_names)
        with pytest.raises(OutputError, match="contains the original images"):
            write_predictions(predictor, list_images(paths), writer, annotate=annotate)
    assert {file: file.read_bytes() for file in photos.rglob("*.*")} == before


def test_an_image_that_is_too_long_for_jpeg_is_annotated_as_png(
    predictor: Predictor, demo: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "strip.png").write_bytes(encoded(scene(demo, (180, 60_000, 10), size=(200, 66_000))))
    whole_image = Predictor(predictor.artifact.path, "none")
    with open_writer(None, None, predictor.artifact.class_names) as writer:
        files = {tmp_path / "strip.png": Path("strip.jpg")}
        counts = write_predictions(whole_image, files, writer, annotate=tmp_path / "annotated")
    assert counts == {"ok": 1}
    assert [path.name for path in (tmp_path / "annotated").iterdir()] == ["strip.jpg.png"]


def test_an_image_that_cannot_be_annotated_does_not_stop_the_job(
    predictor: Predictor, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Vanishing(Predictor):
        def classify_detected(self, images):
            (photos / "a.png").unlink(missing_ok=True)
            return super().classify_detected(images)

    with open_writer(None, None, predictor.artifact.class_names) as writer:
        predictor = Vanishing(predictor.artifact.path, "haar")
        counts = write_predictions(predictor, list_images([photos]), writer, annotate=tmp_path / "annotated")
    assert counts == {"ok": 3, "no_face": 1, "error": 1}
    assert sorted(path.name for path in (tmp_path / "annotated").iterdir()) == ["b.jpg", "c.png"]
    assert re.search(r"a\.png: not annotated \(.*does not exist", caplog.text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes need POSIX")
def test_named_pipes_are_errors(predictor: Predictor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    [(_, error)] = predict_files(predictor, [tmp_path / "pipe.jpg"])
    assert str(error).endswith("pipe.jpg: not a regular file")


def test_a_missing_detector_is_an_error(photos: Path, tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    predictor = Predictor(tmp_path / "linear.onnx", "yunet", detector_model=tmp_path / "none.onnx")
    with pytest.raises(DetectorError, match=r"none\.onnx does not exist"):
        list(predict_files(predictor, [photos / "a.png"]))


def test_few_images_are_in_memory_at_a_time(predictor: Predictor, photos: Path) -> None:
    """Files are consumed as they are needed, so memory use does not depend on their number."""
    consumed = 0
    (photos / "small.png").write_bytes(encoded(np.zeros((20, 20), np.uint8)))

    def files():
        nonlocal consumed
        for _ in range(500):
            consumed += 1
            yield photos / "small.png"

    results = predict_files(predictor, files(), threads=2)
    next(results)
    assert consumed < 100
    assert sum(1 for _ in results) == 499


def test_annotated_copies_replace_no_file_and_errors_count_after_a_resume(predictor: Predictor, photos: Path) -> None:
    table, annotated = photos.parent / "faces.csv", photos.parent / "annotated"
    line = ["predict", str(photos), "--model", str(predictor.artifact.path), "--detector", "none", "--strict"]
    line += ["--out", str(table), "--annotate", str(annotated)]
    annotated.mkdir()
    (annotated / "b.jpg").write_text("precious")
    refused = CliRunner().invoke(app, line)
    assert refused.exit_code == 1 and "b.jpg already exists" in str(refused.exception)
    assert CliRunner().invoke(app, [*line, "--resume"]).exit_code == 1, "there is nothing to resume"
    assert (annotated / "b.jpg").read_text() == "precious" and not table.exists()
    (annotated / "b.jpg").unlink()
    originals = CliRunner().invoke(app, [*line[:-1], str(photos)])
    assert "contains the original images" in str(originals.exception)
    for options in ([], ["--resume"]):
        assert CliRunner().invoke(app, [*line, *options]).exit_code == 1, "d.jpg cannot be read"
    (photos / "f.jpg").write_bytes((photos / "b.jpg").read_bytes())
    (annotated / "f.jpg").write_text("precious")
    os.utime(annotated / "f.jpg", (0, 0))
    refused = CliRunner().invoke(app, [*line, "--resume"])
    assert "f.jpg already exists" in str(refused.exception)
    (annotated / "f.jpg").unlink()
    (photos / "d.jpg").unlink()
    assert CliRunner().invoke(app, [*line, "--resume"]).exit_code == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL needs POSIX")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_job_that_is_killed_again_and_again_loses_nothing(
    predictor: Predictor, photos: Path, tmp_path: Path, suffix: str
) -> None:
    """Its table ends with the rows of an uninterrupted job, each once, and every image is annotated."""
    for number in range(200):
        shutil.copyfile(photos / ("b.jpg", "d.jpg")[number % 2], photos / f"{number:03}.jpg")
    arguments = ["predict", str(photos), "--model", str(predictor.artifact.path), "--detector", "none"]
    table = tmp_path / f"killed.{suffix}"
    line = [*arguments, "--out", str(table), "--annotate", str(tmp_path / "annotated"), "--resume"]
    kills = 0
    for delay in (0.3, 0.1, 0.2):
        process = subprocess.Popen([sys.executable, "-m", "ferlab", *line], stderr=subprocess.DEVNULL)
        started = table.with_name(f"{table.name}.part.jsonl") if suffix == "parquet" else table
        while not started.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills
    last = subprocess.run([sys.executable, "-m", "ferlab", *line], check=True, stderr=subprocess.PIPE, text=True)
    assert "already done, not annotated again" in last.stderr
    with open_writer(tmp_path / f"whole.{suffix}", None, predictor.artifact.class_names) as writer:
        counts = write_predictions(Predictor(predictor.artifact.path, "none"), list_images([photos]), writer)
    assert len(list((tmp_path / "annotated").glob("[!.]*"))) == counts["ok"] > 100

    def by_source(path: Path) -> list[dict]:
        return sorted(rows_of(path), key=lambda row: (row["source"], row["face"]))

    assert by_source(table) == by_source(tmp_path / f"whole.{suffix}")


def test_every_untrusted_file_gets_a_row(predictor: Predictor, demo: Dataset, tmp_path: Path) -> None:
    """Truncated files, flipped bits, wrong suffixes, animations, and headers that claim too many pixels."""
    folder, generator = tmp_path / "untrusted", np.random.default_rng(0)
    folder.mkdir()
    face = scene(demo, (200, 100, 100))
    whole = {suffix: encoded(face, suffix) for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff")}
    for number in range(60):
        suffix = list(whole)[number % len(whole)]
        content = bytearray(whole[suffix])
        for place in generator.integers(0, len(content), 3):
            content[place] ^= 1 << int(generator.integers(0, 8))
        (folder / f"flipped{number}{suffix}").write_bytes(content)
        (folder / f"truncated{number}{suffix}").write_bytes(whole[suffix][: generator.integers(1, len(whole[suffix]))])
    frames = [Image.new("L", (8, 8), gray) for gray in (0, 255)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    (folder / "bomb.png").write_bytes(png_of_size(2**31 - 1, 2**31 - 1))
    (folder / "large.png").write_bytes(png_of_size(9_000, 9_000))
    (folder / "page.jpg").write_text("<html></html>")
    (folder / "really-a-png.jpg").write_bytes(whole[".png"])
    files = list_images([folder])
    with open_writer(tmp_path / "rows.csv", None, predictor.artifact.class_names) as writer:
        write_predictions(predictor, files, writer)
    rows = {Path(row["source"]).name: row for row in rows_of(tmp_path / "rows.csv")}
    assert rows.keys() == {file.name for file in files}
    reasons = {"animated.gif": "animated", "bomb.png": "", "large.png": "9000x9000 pixels", "page.jpg": "not an image"}
    for name, reason in reasons.items():
        assert rows[name]["status"] == "error"
        assert reason in rows[name]["reason"]
    assert rows["really-a-png.jpg"]["status"] == "ok"
    assert sum(row["status"] == "error" for row in rows.values()) > 60


def test_every_listed_file_gets_a_row(
    predictor: Predictor, photos: Path, tmp_path: Path, locked_folder: Callable[[Path], Path]
) -> None:
    """Formats that cannot be decoded, broken links and locked folders are error rows."""
    for name in ("vector.svg", "photo.CR3", "photo.jxl"):
        (photos / name).write_bytes(b"no format that can be decoded")
    (photos / "moved.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (photos / "locked").mkdir()
    locked_folder(photos / "locked")
    with open_writer(tmp_path / "rows.csv", None, predictor.artifact.class_names) as writer:
        write_predictions(predictor, list_images([photos], recursive=True), writer)
    errors = {Path(row["source"]).name: row["reason"] for row in rows_of(tmp_path / "rows.csv") if row["reason"]}
    assert set(errors) == {"d.jpg", "vector.svg", "photo.CR3", "photo.jxl", "moved.jpg", "locked"}
    assert "Permission denied" in errors["locked"]
    assert "nowhere.jpg, which does not exist" in errors["moved.jpg"]


def test_the_fallback_of_auto_is_logged_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", "http://127.0.0.1:9/yunet.onnx")
    linear_artifact(tmp_path / "linear.onnx")
    results = list(predict_files(Predictor(tmp_path / "linear.onnx"), [photos / "a.png"] * 8, threads=3))
    assert {len(result) for _, result in results if isinstance(result, Prediction)} == {2}
    assert caplog.text.count("could not be downloaded") == 1


def test_queued_images_are_not_read_after_an_interruption(predictor: Predictor, demo: Dataset) -> None:
    content, reads, go_on = encoded(demo.images[0]), [], threading.Event()

    class Image:
        def read(self) -> bytes:
            reads.append(1)
            if len(reads) > BATCH:
                go_on.wait(60)
            return content

    results = predict_files(predictor, [Image() for _ in range(200)], threads=1)
    next(results)
    threading.Timer(0.5, go_on.set).start()
    results.close()
    assert len(reads) <= BATCH + 1, "the one that is being read is finished"
