"""The page on predicting: every example runs, on synthetic faces."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset
from ferlab.cli import app
from ferlab.images.detectors import MODEL_VARIABLE
from ferlab.predict import video_io as films
from ferlab.predict.video_io import VideoFile, VideoWriter
from tests.docs.test_docs import ROOT, blocks, command_lines
from tests.predict.test_table import rows_of
from tests.scenes import encoded, scene

PAGE = ROOT / "docs" / "how-to" / "predict.md"


@pytest.fixture
def desk(demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page speaks of; no network, and FFmpeg's test picture for a camera."""
    one = scene(demo, (200, 100, 100))
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("photo.jpg", "photos/a.jpg", "photos/deep/b.jpg"):
        (tmp_path / name).write_bytes(encoded(one, ".jpg"))
    with VideoWriter(tmp_path / "talk.mp4") as film:
        for number in range(10):
            film.write(np.stack([one] * 3, axis=2), number / 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.detectors.YUNET_URL", "http://127.0.0.1:9/yunet.onnx")
    monkeypatch.setitem(films.CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25,realtime"))
    return tmp_path


def test_python(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = blocks(PAGE, "python")
    assert len(examples) == 5
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), {})
    printed = capsys.readouterr().out
    assert "Box(x=" in printed
    assert "'dominant_emotion'" in printed
    assert "0.8 {1: '" in printed


def test_command_lines(desk: Path) -> None:
    lines = [words for words in command_lines(PAGE) if words[0] in ("predict", "video")]
    assert len(lines) == 5
    for words in lines:
        words = ["0.5" if word == "60" else word for word in words]  # seconds before the camera
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, words
        if words[:2] == ["predict", "photo.jpg"]:
            assert result.stdout.startswith("photo.jpg")
            assert "face 1 " in result.stdout
        if words[:2] == ["video", "talk.mp4"]:
            (desk / "faces.csv").rename(desk / "of-the-folder.csv")
    assert {row["status"] for row in rows_of(desk / "of-the-folder.csv")} == {"ok"}
    assert sorted(file.name for file in (desk / "drawn").rglob("*.jpg")) == ["a.jpg", "b.jpg"]
    assert len(rows_of(desk / "talk.csv")) == 5
    assert "face 1" in (desk / "talk.svg").read_text()
    with VideoFile(desk / "drawn.mp4") as drawn:
        assert len(list(drawn.frames())) == 5
    assert {row["source"] for row in rows_of(desk / "faces.csv")} == {"camera 0"}


def test_broken_pictures_and_how_the_command_ends(desk: Path) -> None:
    (desk / "photos" / "broken.jpg").write_bytes(b"no picture")
    line = ["predict", "photos", "--detector", "haar", "--format", "jsonl"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0
    rows = [json.loads(text) for text in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert ": 1 face, 0 pictures without one, " in result.stderr and "1 that cannot be read" in result.stderr
    assert CliRunner().invoke(app, [*line, "--strict"]).exit_code == 1
