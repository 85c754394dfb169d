"""`ferlab video`: several videos in one call, and what happens if one of them fails."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ferlab.cli import app
from ferlab.errors import OutputError, VideoError
from ferlab.predict.video_file import VideoFile
from tests.predict.test_table import rows_of
from tests.videos import noise, write_video_file, write_wide_video


def invoke(*words: str | Path, exit_code: int = 0) -> tuple[str, str]:
    """Run `ferlab video` without a detector. Returns standard output and standard error."""
    result = CliRunner().invoke(app, ["video", *map(str, words), "--detector", "none"], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the videos `a.mp4` of three frames, `b.mkv` of five and `more/a.mp4` of two."""
    monkeypatch.chdir(tmp_path)
    Path("more").mkdir()
    for name, number in {"a.mp4": 3, "b.mkv": 5, "more/a.mp4": 2}.items():
        write_video_file(Path(name), noise(number))
    return tmp_path


def test_several_videos_share_one_table_and_have_an_annotated_copy_each(folder: Path) -> None:
    _, message = invoke("a.mp4", "b.mkv", "more/a.mp4", "--out", "faces.csv", "--out", "annotated")
    assert [(row["source"], row["frame"]) for row in rows_of(Path("faces.csv"))] == [
        *(("a.mp4", str(number)) for number in range(3)),
        *(("b.mkv", str(number)) for number in range(5)),
        *(("more/a.mp4", str(number)) for number in range(2)),
    ]
    assert message.startswith("10 frames processed: 10 faces")
    lengths = {}
    for path in Path("annotated").iterdir():
        with VideoFile(path) as copy:
            lengths[path.name] = len(list(copy.frames()))
    assert lengths == {"a.mp4": 3, "b.mkv.mp4": 5, "a-2.mp4": 2}


def test_a_video_that_cannot_be_read_is_a_row_and_does_not_stop_the_others(folder: Path) -> None:
    Path("text.mp4").write_text("not a video")
    write_wide_video(Path("wide.mp4"))
    _, message = invoke("a.mp4", "text.mp4", "none.mp4", "wide.mp4", "b.mkv", "--out", "faces.csv", exit_code=1)
    statuses = [(row["source"], row["status"]) for row in rows_of(Path("faces.csv"))]
    assert statuses == [
        *[("a.mp4", "ok")] * 3,
        ("text.mp4", "error"),
        ("none.mp4", "error"),
        ("wide.mp4", "error"),
        *[("b.mkv", "ok")] * 5,
    ]
    assert "error: text.mp4: Invalid data found" in message
    assert "error: none.mp4 does not exist." in message


def test_a_single_video_that_cannot_be_read_leaves_no_files(folder: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4 does not exist"):
        invoke("none.mp4", "--out", "faces.csv", "--out", "annotated")
    assert not Path("faces.csv").exists()
    assert not Path("annotated").exists()


def test_one_file_cannot_hold_several_annotated_videos(folder: Path) -> None:
    with pytest.raises(OutputError, match=r"c\.mp4 can hold one annotated video only.*folder to --out"):
        invoke("a.mp4", "b.mkv", "--out", "c.mp4")


def test_a_plot_shows_one_video(folder: Path) -> None:
    _, message = invoke("a.mp4", "b.mkv", "--plot", "c.svg", exit_code=2)
    assert "shows one video only" in message


def test_rows_of_several_videos_are_printed(folder: Path) -> None:
    output, _ = invoke("a.mp4", "a.mp4", "b.mkv")
    assert len(output.splitlines()) == 8  # each video once


def test_damage_is_counted(folder: Path) -> None:
    path = write_video_file(Path("cut.mp4"), noise(50), movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, message = invoke("cut.mp4")
    assert "1 corrupt packet: " in message


def test_the_frame_rate_of_images(folder: Path) -> None:
    Path("frames").mkdir()
    from PIL import Image

    for number in range(4):
        Image.fromarray(noise(1)[0]).save(f"frames/{number}.png")
    invoke("frames", "--frame-rate", "2", "--out", "faces.csv")
    assert [row["time_s"] for row in rows_of(Path("faces.csv"))] == ["0.0", "0.5", "1.0", "1.5"]
