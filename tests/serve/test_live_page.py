"""The live page in Chromium, with a real service and a camera that plays a video."""

import csv
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ferlab import Predictor
from tests.artifacts import linear_artifact
from tests.scenes import MEDIA, YUNET
from tests.serve.browser import bright_cells, fake_camera, needs_chromium, opened, saved_rows, write_mjpeg
from tests.serve.service import running

pytestmark = needs_chromium
FRAMES = 4  # analyzed frames that a test waits for
TOKEN = "secret+/token~"


def rows_of_camera(page: Any, frames: int) -> list[dict[str, str]]:
    """Run the camera until some frames are analyzed, and return the saved rows."""
    page.click("#camera")
    page.wait_for_selector(".face")
    rows: list[dict[str, str]] = []
    while len({row["frame"] for row in rows}) < frames:
        page.wait_for_timeout(500)
        rows = list(csv.DictReader(io.StringIO(saved_rows(page))))
    page.click("#stop")
    return rows


def test_the_page_shows_the_emotions_of_the_stream(detector: Path, tmp_path: Path) -> None:
    """With a token, the test detector and a linear model: boxes, emotions and numbers of the faces."""
    linear_artifact(tmp_path / "linear.onnx", scale=0.01)
    image = bright_cells(seed=2)
    expected = Predictor(tmp_path / "linear.onnx", detector_model=detector).predict(image)
    camera = fake_camera(write_mjpeg(tmp_path / "camera.mjpeg", [image] * 3))
    model = str(tmp_path / "linear.onnx")
    with running(detector, model=model, token=TOKEN) as url, opened(url, *camera, token=TOKEN) as page:
        rows = rows_of_camera(page, FRAMES)
        card = page.inner_text(".face >> nth=0")
        assert "latency" in page.inner_text("#figures")
        page.wait_for_selector(f"text=/^{len(expected)} faces: /", state="attached")  # for screen readers
    assert {row["source"] for row in rows} == {"camera"}
    frames = {row["frame"]: [other for other in rows if other["frame"] == row["frame"]] for row in rows}
    for faces in frames.values():
        assert sorted(int(row["face"]) for row in faces) == list(range(1, len(expected) + 1))
        found = sorted(([int(row[name]) for name in ("x", "y", "width", "height")], row["emotion"]) for row in faces)
        assert found == sorted((list(face.box), face.emotion) for face in expected)
    assert card.splitlines()[0].split()[0] in {face.emotion for face in expected}


@pytest.mark.real_data
def test_the_page_shows_the_emotion_of_a_moving_face(tmp_path: Path) -> None:
    """YuNet and the model in the package, on a photograph that moves through the camera's view."""
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    image = cv2.imread(str(MEDIA / "img17.jpg"))[..., ::-1]
    image = cv2.resize(image, (640, round(640 * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)
    frames = [np.roll(image, 4 * shift, axis=1)[:480] for shift in (*range(15), *range(15, 0, -1))]
    camera = fake_camera(write_mjpeg(tmp_path / "camera.mjpeg", frames))
    with running(YUNET) as url, opened(url, *camera) as page:
        rows = rows_of_camera(page, 3 * FRAMES)
    first = [row for row in rows if row["face"] == "1"]
    assert len(first) >= 2 * FRAMES
    assert {row["emotion"] for row in first} == {"happy"}


def test_a_photo_a_text_and_a_threshold(service: str, tmp_path: Path) -> None:
    """The server decodes photos; what is no image has its reason; the threshold changes what is shown."""
    Path(tmp_path / "cells.png").write_bytes(cv2.imencode(".png", np.full((64, 64, 3), 255, np.uint8))[1].tobytes())
    (tmp_path / "notes.txt").write_text("not an image")
    with opened(service) as page:
        page.set_input_files("#photos", [tmp_path / "cells.png", tmp_path / "notes.txt"])
        page.wait_for_selector("#gallery li:nth-child(2)")
        assert "notes.txt: " in page.inner_text("#message")
        page.click("#gallery li:first-child button")
        page.wait_for_selector(".face")
        page.fill("#threshold", "100")
        assert page.inner_text(".face h3").startswith("not sure")
        assert "not sure" in page.get_attribute("#gallery li:first-child button", "aria-label")
        rows = list(csv.DictReader(io.StringIO(saved_rows(page))))
    assert {row["source"]: row["status"] for row in rows} == {"cells.png": "uncertain", "notes.txt": "error"}


def test_what_to_do_about_the_camera(service: str) -> None:
    """The camera is refused; and it is not available in a page without TLS from another computer."""
    arguments = ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
    with opened(service, *arguments, "--host-resolver-rules=MAP page.test 127.0.0.1") as page:
        page.click("#camera")
        page.wait_for_selector("#message:not(:empty)")
        assert "The camera is blocked. Allow it for this page" in page.inner_text("#message")
        page.goto(service.replace("127.0.0.1", "page.test"))
        page.wait_for_selector("#workspace:not([hidden])")
        page.click("#camera")
        page.wait_for_selector("#message:not(:empty)")
        assert "only on pages with https://" in page.inner_text("#message")
