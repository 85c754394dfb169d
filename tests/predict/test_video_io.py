"""Video files and cameras: frame times, damaged input, complete output files."""

import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ferlab.errors import OutputError, VideoError
from ferlab.predict import video_io
from ferlab.predict.video_io import Camera, VideoFile, VideoWriter, open_video
from tests.predict.conftest import VIDEO_FPS


def test_frames_have_numbers_and_times(video: Path) -> None:
    with VideoFile(video) as opened:
        frames = list(opened.frames())
        assert opened.duration == pytest.approx(3, abs=0.15)
    assert [frame.number for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(30) / VIDEO_FPS, atol=1e-3)
    assert frames[0].pixels.shape == (400, 600, 3)


def test_times_never_decrease(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a file that joins two recordings."""
    with VideoFile(video) as opened:
        frames = list(opened._decode())
        monkeypatch.setattr(opened, "_decode", lambda: iter([*frames[:10], *frames[:5]]))
        seconds = [frame.seconds for frame in opened.frames()]
    np.testing.assert_allclose(seconds, [*np.arange(10) / VIDEO_FPS, *[0.9] * 5], atol=1e-3)


def test_pixels_become_square(tmp_path: Path) -> None:
    """As on DVDs: 720x576 pixels that are displayed 1024 wide."""
    import av

    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=VIDEO_FPS)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with VideoFile(tmp_path / "wide.mp4") as opened:
        [frame] = opened.frames()
    assert frame.pixels.shape == (576, 1024, 3)


def test_odd_sides_are_cropped_to_even_ones(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4") as writer:
        writer.write(np.full((101, 77, 3), 128, np.uint8), 0)
    with VideoFile(tmp_path / "odd.mp4") as opened:
        [frame] = opened.frames()
    assert frame.pixels.shape == (100, 76, 3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.mp4", r"none\.mp4 does not exist"),
        ("text.mp4", r"text\.mp4: Invalid data"),
        (".", "Is a directory"),
        ("²", "² does not exist"),
        ("a" * 300, "does not exist"),
    ],
)
def test_a_source_that_is_not_a_video_is_an_error(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError, match=message):
        open_video(source)


@pytest.mark.parametrize("share", [0.3, 1])
def test_damaged_videos_are_decoded_as_far_as_possible(video: Path, tmp_path: Path, share: float) -> None:
    content = bytearray(video.read_bytes())
    start, end = content.index(b"mdat") + 4, content.rindex(b"moov")
    start = end - round(share * (end - start))
    content[start:end] = bytes(end - start)
    (tmp_path / "damaged.mp4").write_bytes(content)
    with VideoFile(tmp_path / "damaged.mp4") as opened:
        if share == 1:
            with pytest.raises(VideoError, match="no frame can be decoded"):
                list(opened.frames())
        else:
            assert 0 < len(list(opened.frames())) <= 30
        assert opened.corrupt_packets


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
from ferlab.predict.video_io import VideoWriter
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


# Cameras. FFmpeg's test source takes the place of the device.


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera with 25 frames per second."""
    monkeypatch.setitem(video_io.CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25,realtime"))


def test_a_missing_camera_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=r"Camera 93 cannot be opened .*connected"):
        open_video("93")


def test_a_slow_reader_gets_the_newest_frame(camera: None) -> None:
    with Camera(0) as opened:
        frames = opened.frames()
        first = next(frames)
        time.sleep(0.5)
        next(frames)
        later = next(frames)
        assert opened.dropped_frames > 5
    assert later.seconds - first.seconds > 0.4
    assert later.number - first.number > 10
    assert later.pixels.shape == (48, 64, 3)
    assert not opened._thread.is_alive()


def test_a_camera_that_stops_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video_io.CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25:duration=0.2"))
    camera = Camera(0)
    monkeypatch.setattr(camera._newest, "put", lambda frame: 1 / 0)
    with camera as opened, pytest.raises(VideoError, match="camera 0 stopped: division by zero"):
        list(opened.frames())
