"""Cameras. FFmpeg's test source takes the place of the device."""

import sys
import threading
import time
from pathlib import Path

import pytest

from ferlab.errors import VideoError
from ferlab.predict import camera
from ferlab.predict.camera import Camera
from ferlab.predict.video_input import open_video


def use_source(monkeypatch: pytest.MonkeyPatch, description: str) -> None:
    monkeypatch.setitem(camera.DEVICES, sys.platform, ("lavfi", description))


def test_a_missing_camera_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=r"Camera 93 cannot be opened .*connected"):
        open_video("93")


def test_a_slow_reader_gets_the_newest_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    use_source(monkeypatch, "testsrc=size=64x48:rate=25,realtime")
    threads = threading.active_count()
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
    assert threading.active_count() == threads


def test_a_camera_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use_source(monkeypatch, "testsrc=size=64x48:rate=25:duration=0.2")
    monkeypatch.setattr(camera, "Frame", lambda **fields: 1 / 0)
    with Camera(0) as opened, pytest.raises(VideoError, match="camera 0 stopped: division by zero"):
        list(opened.frames())


def test_a_camera_that_sends_no_frames_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    use_source(monkeypatch, "testsrc=size=64x48:rate=25:duration=0.2")
    plugged = threading.Event()
    monkeypatch.setattr(camera, "Frame", lambda **fields: plugged.wait(20))
    monkeypatch.setattr(camera, "TIMEOUT", 0.5)
    with Camera(0) as opened, pytest.raises(VideoError, match=r"camera 0 stopped: no frame for 0\.5 seconds"):
        list(opened.frames())
    plugged.set()
