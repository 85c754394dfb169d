"""Servers that are silent, at once or midway, and Ctrl-C while a program waits for them."""

import io
import itertools
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferlab.errors import VideoError
from ferlab.predict import video_file
from ferlab.predict.video_file import VideoFile
from tests.predict.test_table import rows_of
from tests.videos import http, noise, raw, rtsp, serve, silence, write_video_file

TIMEOUT = 1.5  # seconds


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "TIMEOUT", TIMEOUT)


@pytest.fixture(scope="module")
def transport_stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The first 30 of 60 frames, roughly."""
    content = write_video_file(tmp_path_factory.mktemp("video") / "a.ts", noise(60)).read_bytes()
    return content[: len(content) // 2]


@pytest.fixture(scope="module")
def elementary_stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """60 frames, each in one small unit, as RTP packets need them."""
    images = [np.full((48, 64, 3), 4 * number, np.uint8) for number in range(60)]
    return write_video_file(tmp_path_factory.mktemp("video") / "a.h264", images).read_bytes()


@pytest.mark.parametrize("protocol", ["http", "https", "rtsp", "rtmp", "tcp"])
def test_a_server_that_never_answers_is_an_error(protocol: str, short_timeout: None) -> None:
    start = time.monotonic()
    with serve(silence) as port, pytest.raises(VideoError, match=rf"{protocol}://.* sent no data for 1\.5 seconds\. "):
        VideoFile(f"{protocol}://127.0.0.1:{port}/a")
    assert time.monotonic() - start < 10


def read_until_the_error(url: str) -> tuple[int, str]:
    """Return the number of frames before the error, and its message."""
    number = 0
    with VideoFile(url) as opened, pytest.raises(VideoError) as error:
        for _ in opened.frames():
            number += 1
    return number, str(error.value)


@pytest.mark.parametrize(("protocol", "answer"), [("http", http), ("tcp", raw)])
def test_frames_before_the_silence_are_not_lost(
    protocol: str, answer: Callable, transport_stream: bytes, tmp_path: Path, short_timeout: None
) -> None:
    (tmp_path / "same.ts").write_bytes(transport_stream)
    with VideoFile(tmp_path / "same.ts") as opened:
        expected = len(list(opened.frames()))
    with serve(answer(transport_stream)) as port:
        number, message = read_until_the_error(f"{protocol}://127.0.0.1:{port}/a.ts")
    assert expected - 1 <= number <= expected  # the last frame of a file ends with the file
    assert message.endswith("sent no data for 1.5 seconds. Check the address and the server. The video is incomplete.")


def test_rtsp_that_falls_silent(elementary_stream: bytes, short_timeout: None) -> None:
    with serve(rtsp(elementary_stream)) as port:
        number, message = read_until_the_error(f"rtsp://127.0.0.1:{port}/a")
    assert number == 60
    assert "sent no data for 1.5 seconds" in message


def test_a_connection_that_breaks_is_an_error(transport_stream: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        http(transport_stream)(connection)
        connection.close()

    with serve(answer) as port:
        number, message = read_until_the_error(f"http://127.0.0.1:{port}/a.ts")
    assert number > 20
    assert "Input/output error. The video is incomplete." in message


def test_a_camera_that_sends_jpeg_images_over_http_is_timed_by_their_arrival() -> None:
    image = io.BytesIO()
    Image.fromarray(noise(1)[0]).save(image, "JPEG")
    part = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(image.getvalue())

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
        while True:
            connection.sendall(part + image.getvalue() + b"\r\n")
            time.sleep(0.2)

    with serve(answer) as port, VideoFile(f"http://127.0.0.1:{port}/") as opened:
        seconds = [frame.seconds for frame in itertools.islice(opened.frames(), 11)]
    assert seconds[-1] == pytest.approx(2, abs=0.5)


# Ctrl-C. These tests use the real time-out of 30 seconds, so that it cannot end the wait.


def interrupted(url: str, folder: Path, wait: Callable[[], bool]) -> tuple[int, str]:
    """Run `ferlab video`, press Ctrl-C once `wait` returns True, and return the exit code and standard error."""
    # A shell without job control starts background jobs, such as these tests, with SIGINT ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from ferlab.cli import main; main()"
    outs = ["--out", str(folder / "rows.csv"), "--out", str(folder / "annotated.mp4")]
    command = [sys.executable, "-c", code, "video", url, "--detector", "none", *outs]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not wait():
            assert time.monotonic() < deadline, "not started"
            time.sleep(0.1)
        time.sleep(0.5)
        pressed = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            _, message = process.communicate(timeout=20)
        finally:
            process.kill()
    assert time.monotonic() - pressed < 10
    return process.returncode, message


def is_silent(rows: Path) -> bool:
    """Return whether some rows were written, and none in the last second."""
    size = rows.stat().st_size
    time.sleep(1)
    return len(rows_of(rows)) > 15 and rows.stat().st_size == size


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http", "rtsp", "tcp"])
def test_ctrl_c_is_heard_while_a_server_does_not_answer(protocol: str, tmp_path: Path) -> None:
    connected: list = []
    with serve(connected.append) as port:
        code, message = interrupted(f"{protocol}://127.0.0.1:{port}/a", tmp_path, lambda: bool(connected))
    assert (code, message.strip()) == (130, "")
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http", "rtsp", "tcp"])
def test_ctrl_c_is_heard_while_a_stream_is_silent(
    protocol: str, transport_stream: bytes, elementary_stream: bytes, tmp_path: Path
) -> None:
    answers = {"http": http(transport_stream), "tcp": raw(transport_stream), "rtsp": rtsp(elementary_stream)}
    rows = tmp_path / "rows.csv"
    with serve(answers[protocol]) as port:
        url = f"{protocol}://127.0.0.1:{port}/a.ts"
        code, message = interrupted(url, tmp_path, lambda: rows.exists() and is_silent(rows))
    assert code == 0
    assert message.startswith("interrupted: ")
    with VideoFile(tmp_path / "annotated.mp4") as annotated:
        assert len(list(annotated.frames())) == len(rows_of(rows))
