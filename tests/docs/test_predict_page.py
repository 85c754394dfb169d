"""The examples of docs/how-to/predict.md, run on synthetic faces."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset
from ferlab.cli import app
from ferlab.emotions import EMOTIONS
from ferlab.images.yunet import MODEL_VARIABLE
from ferlab.predict import camera
from ferlab.predict.video_file import VideoFile
from ferlab.predict.video_writer import VideoWriter
from tests.docs.test_docs import ROOT, blocks, command_lines
from tests.predict.test_table import rows_of
from tests.scenes import MEDIA, YUNET, encoded, scene
from tests.videos import noise, write_video_file

PAGE = ROOT / "docs" / "how-to" / "predict.md"


@pytest.fixture
def workspace(demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, without a network, and with FFmpeg's test source as the camera."""
    one = scene(demo, (200, 100, 100))
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("photo.jpg", "photos/a.jpg", "photos/deep/b.jpg"):
        (tmp_path / name).write_bytes(encoded(one, ".jpg"))
    with VideoWriter(tmp_path / "talk.mp4") as writer:
        for number in range(10):
            writer.write(np.stack([one] * 3, axis=2), number / 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", "http://127.0.0.1:9/yunet.onnx")
    monkeypatch.setitem(camera.DEVICES, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25,realtime"))
    return tmp_path


def page_commands(command: str, *, starting_with: str = "") -> list[list[str]]:
    return [words for words in command_lines(PAGE) if words[0] == command and words[1].startswith(starting_with)]


def invoke(words: list[str], exit_code: int = 0) -> tuple[str, str]:
    """Run a command. Returns its standard output and standard error."""
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == exit_code, words
    return result.stdout, result.stderr


def test_python_examples(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = blocks(PAGE, "python")
    assert len(examples) == 7
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), {})
    printed = capsys.readouterr().out
    assert "Box(x=" in printed
    assert "'dominant_emotion'" in printed
    assert "0.8 {1: '" in printed


def with_placeholders(text: str) -> str:
    """Replace numbers and emotions, and collapse spaces."""
    return re.sub(
        r"\s+", " ", re.sub(r"\b(happy|sad|neutral|angry|fear|surprise|disgust)\b", "E", re.sub(r"\d+", "N", text))
    )


def test_the_printed_output_has_the_form_shown_on_the_page(workspace: Path) -> None:
    [words] = page_commands("predict", starting_with="photo.jpg")
    stdout, stderr = invoke([*words, "--detector", "haar"])
    [shown] = blocks(PAGE, "text")
    assert with_placeholders(stdout + stderr) == with_placeholders(shown)


@pytest.mark.real_data
def test_the_printed_output_is_the_one_shown_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(MEDIA / "img1.jpg", "photo.jpg")
    [words] = page_commands("predict", starting_with="photo.jpg")
    stdout, _ = invoke([*words, "--detector-model", str(YUNET)])
    [shown] = blocks(PAGE, "text")
    assert shown.startswith(stdout)


def documented_columns() -> set[str]:
    """Return the names in the first column of the table of columns; `angry` ... `neutral` stand for all classes."""
    table = PAGE.read_text(encoding="utf-8").partition("### Columns")[2].split("\n\n")[1]
    cells = [line.split("|")[1] for line in table.splitlines()]
    return {*EMOTIONS, *re.findall(r"`(\w+)`", " ".join(cells))}


def test_a_folder_of_images(workspace: Path) -> None:
    commands = page_commands("predict", starting_with="photos")
    assert len(commands) == 3  # the second one resumes the first; the third one has a class prior
    printed = [invoke(words) for words in commands]
    assert "face 1" in printed[2][0]
    rows = rows_of(workspace / "faces.csv")
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert sorted(file.name for file in (workspace / "annotated").rglob("*.jpg")) == ["a.jpg", "b.jpg"]
    assert set(rows[0]) == documented_columns()


def test_a_video(workspace: Path) -> None:
    [words] = page_commands("video", starting_with="talk.mp4")
    invoke(words)
    assert len(rows_of(workspace / "talk.csv")) == 5
    assert "face 1" in (workspace / "talk.svg").read_text()
    with VideoFile(workspace / "annotated.mp4") as annotated:
        assert len(list(annotated.frames())) == 5


def test_several_videos(workspace: Path) -> None:
    [words] = page_commands("video", starting_with="monday.mp4")
    for name in ("monday.mp4", "tuesday.mkv"):
        write_video_file(workspace / name, noise(2))
    invoke(words)
    assert {row["source"] for row in rows_of(workspace / "faces.csv")} == {"monday.mp4", "tuesday.mkv"}
    assert sorted(path.name for path in (workspace / "annotated").iterdir()) == ["monday.mp4", "tuesday.mkv.mp4"]


def test_an_image_sequence(workspace: Path) -> None:
    [words] = page_commands("video", starting_with="frames")
    (workspace / "frames").mkdir()
    for number in range(3):
        shutil.copyfile(workspace / "photo.jpg", workspace / "frames" / f"frame_{number:04d}.png")
    invoke(words)
    assert [row["time_s"] for row in rows_of(workspace / "faces.csv")] == ["0.0", "0.0333", "0.0667"]


def test_a_camera(workspace: Path) -> None:
    [words] = page_commands("video", starting_with="0")
    invoke(["0.5" if word == "60" else word for word in words])
    assert {row["source"] for row in rows_of(workspace / "faces.csv")} == {"camera 0"}


def test_unreadable_images_and_the_exit_code(workspace: Path) -> None:
    (workspace / "photos" / "broken.jpg").write_bytes(b"not an image")
    words = ["predict", "photos", "--detector", "haar", "--format", "jsonl"]
    stdout, stderr = invoke(words)
    assert [json.loads(line)["status"] for line in stdout.splitlines()] == ["ok", "error"]
    assert ": 1 face, 0 images without a face, 1 unreadable" in stderr
    invoke([*words, "--strict"], exit_code=1)
