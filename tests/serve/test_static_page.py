"""`ferlab web`: the page that predicts inside the browser gives the faces of the Python pipeline."""

import csv
import functools
import io
import math
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from ferlab import Predictor
from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError, ImageError, OutputError
from ferlab.images.decode import read_image
from ferlab.predict.table import image_rows
from ferlab.serve.card import MIN_CONFIDENCE
from ferlab.serve.static_page import write_static_page
from tests.artifacts import linear_artifact
from tests.conftest import QuietHandler
from tests.scenes import MEDIA, YUNET
from tests.serve.browser import bright_cells, needs_chromium, opened, saved_rows

needs_npm = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
ORIENTATION = 274  # tag of EXIF
LOOSE = 0.1  # of probabilities near one half, where the pixels of a crop differ by a gray level or two
LEFT_SIDE_UP = 6  # the photo of a phone that is held upright


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve static files. Yields the URL."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def write_page(folder: Path, model: str | Path, detector: Path) -> None:
    """Write the page, or skip the test without a network."""
    try:
        write_static_page(folder, model, detector)
    except OutputError as error:
        if "npm could not download" not in str(error):
            raise
        pytest.skip(str(error))


def predicted_in_browser(page_folder: Path, photos: list[Path]) -> list[dict[str, str]]:
    """Choose photos in the page, and return the rows that it saves."""
    with serving(page_folder) as url, opened(url) as page:
        assert "do not leave this device" in page.inner_text("#place")
        page.set_input_files("#photos", photos)
        page.wait_for_selector(f"#gallery li:nth-child({len(photos)})")
        return list(csv.DictReader(io.StringIO(saved_rows(page))))


def predicted_in_python(predictor: Predictor, photos: list[Path]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for photo in photos:
        try:
            rows += image_rows(photo.name, predictor.predict(photo).faces, MIN_CONFIDENCE)
        except ImageError:
            rows.append({"source": photo.name, "status": "error"})
    return rows


def assert_same(rows: list[dict[str, str]], expected: list[dict], loose: set[str], tolerance: float) -> None:
    """Compare the rows of browser and Python.

    Args:
        rows: the rows of the browser.
        expected: the rows of Python.
        loose: JPEGs whose pixels differ by a level or two, because ferlab decodes them at reduced size.
        tolerance: of the probabilities of other images.
    """
    assert Counter(row["source"] for row in rows) == Counter(row["source"] for row in expected)
    for same in expected:
        photo, is_loose = same["source"], same["source"] in loose
        candidates = [row for row in rows if row["source"] == photo]
        if "face" not in same:
            assert [row["status"] for row in candidates] == [same["status"]]
            continue
        row = min(candidates, key=lambda row: math.dist(position(row), position(same)))
        assert position(row) == pytest.approx(position(same), abs=2 if is_loose else 0), photo
        assert float(row["detection_score"]) == pytest.approx(same["detection_score"], abs=1e-2 if is_loose else 1e-3)
        for name in ("confidence", *EMOTIONS):
            assert float(row[name]) == pytest.approx(same[name], abs=LOOSE if is_loose else tolerance), photo
        if not is_loose:
            values = [str(same[name] or "") for name in ("face", "emotion", "status")]
            assert [row["face"], row["emotion"], row["status"]] == values, photo


def position(row: Mapping[str, Any]) -> list[float]:
    return [float(row[name]) for name in ("x", "y", "width", "height")]


@needs_chromium
@needs_npm
def test_synthetic_images_give_the_faces_of_python(detector: Path, tmp_path: Path) -> None:
    """Images that are shrunk, enlarged, reduced, rotated by EXIF, transparent or damaged."""
    linear_artifact(tmp_path / "linear.onnx", crop_margin=0.1)
    write_page(tmp_path / "page", tmp_path / "linear.onnx", detector)
    cells = bright_cells()
    large = cv2.resize(cells, (1400, 840), interpolation=cv2.INTER_CUBIC)
    scenes = {
        "as-is.png": cells,
        "shrunk.png": cv2.resize(large, (900, 540), interpolation=cv2.INTER_AREA),
        "enlarged.png": cells[:96, 32:160],
        "no-face.png": np.zeros((50, 70, 3), np.uint8),
        "reduced.jpg": large,
    }
    photos = []
    for name, scene in scenes.items():
        photos.append(tmp_path / name)
        Image.fromarray(scene).save(photos[-1], quality=95)
    photos += [tmp_path / "turned.jpg", tmp_path / "transparent.png", tmp_path / "damaged.png"]
    exif = Image.Exif()
    exif[ORIENTATION] = LEFT_SIDE_UP
    Image.fromarray(np.ascontiguousarray(np.rot90(cells))).save(photos[-3], quality=95, exif=exif)
    Image.fromarray(np.dstack([cells, 255 - cells[..., 0] // 2])).save(photos[-2])
    photos[-1].write_bytes(photos[0].read_bytes()[:100])
    predictor = Predictor(tmp_path / "linear.onnx", detector_model=detector)
    expected = predicted_in_python(predictor, photos)
    statuses = {(row["source"], row["status"]) for row in expected}
    assert len(expected) > 12
    assert statuses >= {("no-face.png", "no_face"), ("damaged.png", "error")}
    rows = predicted_in_browser(tmp_path / "page", photos)
    assert_same(rows, expected, loose={"reduced.jpg", "turned.jpg"}, tolerance=1e-3)


@needs_chromium
@needs_npm
@pytest.mark.real_data
def test_photographs_give_the_faces_of_python(tmp_path: Path) -> None:
    """As they are, and turned by 90, 180 and 30 degrees, so that faces are searched in turned copies."""
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    write_page(tmp_path / "page", "default", YUNET)
    photos = sorted(MEDIA.glob("*.jpg"))
    for turn in (90, 180, 30):
        for name in ("couple", "img17", "img20"):
            photos.append(tmp_path / f"{name}-{turn}.png")
            Image.open(MEDIA / f"{name}.jpg").rotate(turn, expand=True, fillcolor="gray").save(photos[-1])
    predictor = Predictor(detector_model=YUNET)
    expected = predicted_in_python(predictor, photos)
    rows = predicted_in_browser(tmp_path / "page", photos)
    loose = {path.name for path in photos if path.suffix == ".jpg" and max(read_image(path).size) >= 1280}
    assert_same(rows, expected, loose, tolerance=0.03)  # one gray level of a crop moves 8-bit activations


def test_without_npm_nothing_is_written(detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OutputError, match="npm is not installed"):
        write_static_page(tmp_path / "page", "default", detector)
    assert list(tmp_path.iterdir()) == []


def test_another_download_is_refused(detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry whose package is not the one that was reviewed, by an npm that packs an empty file."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text('#!/bin/sh\necho > "$4/package.tgz"\necho package.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    with pytest.raises(OutputError, match="its SHA-512 is not the expected one"):
        write_static_page(tmp_path / "page", "default", detector)
    printed = ["npm error code E404", "npm error network unreachable", f"npm error A complete log is in {tmp_path}"]
    npm.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in printed) + "exit 1\n")
    with pytest.raises(OutputError, match="npm could not download .*: network unreachable"):
        write_static_page(tmp_path / "page", "default", detector)
    npm.write_text('#!/bin/sh\ntest -d "$4" || echo "$4 is not a folder" >&2\nexit 1\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="it gave no reason"):
        write_static_page(Path("page"), "default", detector)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_files_of_others_are_kept(detector: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(OutputError, match="not an empty folder"):
        write_static_page(tmp_path, "default", detector)
    with pytest.raises(ArtifactError, match="cannot be read"):
        write_static_page(tmp_path / "page", tmp_path / "missing.onnx", detector)
