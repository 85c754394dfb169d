"""Written videos: sizes, times, and complete files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferlab.errors import OutputError
from ferlab.predict.video_file import VideoFile
from ferlab.predict.video_writer import VideoWriter


def gray(height: int, width: int, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_odd_sides_are_cropped_to_even_ones(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4") as writer:
        writer.write(gray(101, 77), 0)
    with VideoFile(tmp_path / "odd.mp4") as opened:
        [frame] = opened.frames()
    assert frame.pixels.shape == (100, 76, 3)


def test_frames_last_until_the_next_one_and_the_last_one_until_the_end(tmp_path: Path) -> None:
    times, path = [0, 0.1, 0.2, 0.5, 0.9, 1.0, 1.2, 2.0], tmp_path / "times.mp4"
    with VideoWriter(path) as writer:
        for number, seconds in enumerate(times):
            writer.write(gray(48, 64, 30 * number), seconds)
        writer.extend(5)
    with VideoFile(path) as opened:
        frames = list(opened.frames())
        assert opened.duration == pytest.approx(5, abs=1e-3)
    np.testing.assert_allclose([frame.seconds for frame in frames], times, atol=1e-3)
    assert [round(float(frame.pixels.mean()) / 30) for frame in frames] == list(range(8))


def test_frames_of_another_size_are_fitted_into_the_first_one(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "sizes.mp4") as writer:
        writer.write(gray(100, 200, 255), 0)
        writer.write(gray(50, 50, 255), 1)
    with VideoFile(tmp_path / "sizes.mp4") as opened:
        _, second = opened.frames()
    columns = second.pixels.mean(axis=(0, 2))
    assert columns.shape == (200,)
    assert columns[:45].max() < 10 < 245 < columns[55:145].min()


def test_an_output_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError), VideoWriter(tmp_path / "file" / "x.mp4"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits need POSIX")
def test_a_full_disk_is_reported_and_leaves_no_video(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
import numpy as np
from ferlab.errors import OutputError
from ferlab.predict.video_writer import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
noise = np.random.default_rng(0)
try:
    with VideoWriter(Path({str(tmp_path / "noise.mp4")!r})) as writer:
        for number in range(200):
            writer.write(noise.integers(0, 256, (200, 200, 3), dtype=np.uint8), number / 10)
except OutputError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "noise.mp4 cannot be written: File too large. Free space" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("height", "width", "written"), [(1, 1, (2, 2)), (64, 20_000, (52, 16_384))])
def test_sides_that_h264_does_not_allow_are_scaled(
    height: int, width: int, written: tuple[int, int], tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "sides.mp4") as writer:
        writer.write(gray(height, width), 0)
    with VideoFile(tmp_path / "sides.mp4") as opened:
        [frame] = opened.frames()
    assert frame.pixels.shape[:2] == written
