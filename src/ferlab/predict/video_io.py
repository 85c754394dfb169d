"""Read video files and cameras frame by frame, and write video files, with PyAV."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ferlab.errors import MissingExtraError, OutputError, VideoError
from ferlab.files import make_folder

# By platform: FFmpeg's input device, and its name of the camera with a number.
CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
TIME_BASE = Fraction(1, 90_000)  # seconds; a common multiple of the usual frame rates
MAX_CORRUPT_PACKETS = 10_000  # give up on a source that only ever fails
NOMINAL_RATE = 30  # frames per second, a hint for the encoder; each frame has its own time


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A video frame.

    Args:
        number: the frame number, from 0.
        seconds: time since the first frame; it never decreases.
        av_frame: the frame as PyAV returns it.
        pixel_aspect: width of a pixel divided by its height.
    """

    number: int
    seconds: float
    av_frame: Any
    pixel_aspect: float = 1.0

    @cached_property
    def pixels(self) -> np.ndarray:
        """The pixels `(H, W, 3)` uint8, RGB, converted to square pixels and rotated as the video's metadata says."""
        width = max(1, round(self.av_frame.width * self.pixel_aspect))
        pixels = self.av_frame.to_ndarray(format="rgb24", width=width, height=self.av_frame.height)
        return np.ascontiguousarray(np.rot90(pixels, round(self.av_frame.rotation / 90) % 4))


class VideoFile:
    """A video file or network stream. Use it as a context manager.

    Args:
        path: a path or URL in any format that FFmpeg reads.

    Attributes:
        name: the path.
        duration: length in seconds; None if unknown.
        corrupt_packets: number of packets so far that could not be decoded.
        dropped_frames: always 0.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if the file cannot be opened or has no video stream.
    """

    dropped_frames = 0

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self.corrupt_packets = 0
        self._container = _open(self.name)
        if not self._container.streams.video:
            self._container.close()
            raise VideoError(f"{self.name} has no video stream. Pass a video file.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        length = self._container.duration
        self.duration = length / 1e6 if length else None

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order. Corrupt packets are counted and skipped.

        Raises:
            VideoError: if no frame can be decoded.
        """
        aspect, rate = float(self._stream.sample_aspect_ratio or 1), float(self._stream.guessed_rate or NOMINAL_RATE)
        start, latest = None, 0.0
        for number, frame in enumerate(self._decode()):
            seconds = number / rate if frame.time is None else float(frame.time)
            start = seconds if start is None else start
            latest = max(latest, seconds - start)
            yield Frame(number=number, seconds=latest, av_frame=frame, pixel_aspect=aspect)
        if start is None:
            raise VideoError(f"{self.name}: no frame can be decoded. The file is damaged, or its codec is unsupported.")

    def _decode(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                yield from packet.decode()
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError:
                self.corrupt_packets += 1
                if self.corrupt_packets > MAX_CORRUPT_PACKETS:
                    raise VideoError(f"{self.name} is damaged: too many packets cannot be decoded.") from None


class Camera:
    """A camera. Use it as a context manager.

    A thread reads the camera continuously and keeps only the newest frame, so that a slow consumer drops frames instead
    of falling behind.

    Args:
        number: the camera number, from 0.

    Attributes:
        name: `camera <number>`.
        duration: always None.
        corrupt_packets: always 0.
        dropped_frames: number of frames so far that were replaced before they were used.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if the camera cannot be opened.
    """

    duration = None
    corrupt_packets = 0

    def __init__(self, number: int) -> None:
        device, pattern = CAMERAS.get(sys.platform, CAMERAS["linux"])
        self.name = f"camera {number}"
        self.dropped_frames = 0
        try:
            self._container = _open(pattern.format(number), device)
        except VideoError as error:
            raise VideoError(
                f"Camera {number} cannot be opened ({error}). Check that it is connected, that no other program uses "
                "it, that you have permission (Linux: the group 'video'; macOS: camera access for the terminal), and "
                "that its number is right: 0, 1, 2, ..."
            ) from None
        self._newest = _NewestFrame()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Camera":
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._newest.close()
        self._thread.join(timeout=5)
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame on each iteration.

        Raises:
            VideoError: if the camera stops.
        """
        while (frame := self._newest.take()) is not None:
            yield frame
        if self._newest.error:
            raise VideoError(f"{self.name} stopped: {self._newest.error}. Check that it is still connected.")

    def _read(self) -> None:
        start = None
        try:
            for number, frame in enumerate(self._container.decode(video=0)):
                now = time.monotonic()
                start = now if start is None else start
                if self._newest.closed:
                    return
                self.dropped_frames += self._newest.put(Frame(number=number, seconds=now - start, av_frame=frame))
        except Exception as error:  # camera drivers raise any kind of exception
            self._newest.error = str(error) or type(error).__name__
        self._newest.close()


VideoSource = VideoFile | Camera


@dataclass
class _NewestFrame:
    """Passes the newest frame from one thread to another."""

    frame: Frame | None = None
    closed: bool = False
    error: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, frame: Frame) -> int:
        """Store a frame. Returns the number of frames it replaced: 0 or 1."""
        with self.changed:
            replaced = int(self.frame is not None)
            self.frame = frame
            self.changed.notify()
            return replaced

    def take(self) -> Frame | None:
        """Wait for a frame and remove it. Returns None if this is closed and empty."""
        with self.changed:
            while self.frame is None and not self.closed:
                self.changed.wait(timeout=0.2)  # so that Ctrl-C is noticed
            frame, self.frame = self.frame, None
            return frame

    def close(self) -> None:
        """End all waiting."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class VideoWriter:
    """Writes an H.264 video without sound. Use it as a context manager.

    The file appears, complete, when the context is left without an error. An existing file is replaced.

    Args:
        path: the output file, `.mp4`.

    Raises:
        MissingExtraError: if PyAV is not installed.
        OutputError: if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self.path = path
        self._temporary = path.with_name(f".{path.name}.part.mp4")
        self._container: Any = None
        self._stream: Any = None
        self._last_time = -1  # in units of TIME_BASE

    def __enter__(self) -> "VideoWriter":
        av = _import_av()
        try:
            self._container = av.open(str(self._temporary), "w")
        except OSError as error:
            raise self._write_error(error) from None
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._stream:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if self._stream and kind is None:
                self._temporary.replace(self.path)
        except OSError as failure:
            if kind is None:
                raise self._write_error(failure) from None
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        """Append a frame.

        Args:
            pixels: `(H, W, 3)` uint8, RGB.
            seconds: the time at which the frame is shown.

        Raises:
            OutputError: if the file cannot be written, for example because the disk is full.
        """
        try:
            self._write(pixels, seconds)
        except OSError as error:
            raise self._write_error(error) from None

    def _write_error(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path} cannot be written: {error.strerror}. Free space, or choose another --out.")

    def _write(self, pixels: np.ndarray, seconds: float) -> None:
        import av

        pixels = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]  # yuv420p needs even sides
        if self._stream is None:
            self._add_stream(pixels.shape[1], pixels.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._last_time = max(self._last_time + 1, round(seconds / TIME_BASE))  # times must increase
        frame.pts, frame.time_base = self._last_time, TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def _add_stream(self, width: int, height: int) -> None:
        options = {"crf": "20", "preset": "veryfast"}
        self._stream = self._container.add_stream("libx264", rate=NOMINAL_RATE, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE


def open_video(source: str) -> VideoSource:
    """Open a video file or, given a number, a camera.

    Args:
        source: a path, a URL, or a camera number such as `0`.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if it cannot be opened.
    """
    return Camera(int(source)) if source.isdecimal() and not Path(source).exists() else VideoFile(source)


def _open(name: str, device: str | None = None) -> Any:
    av = _import_av()
    if device is None and "://" not in name and not _exists(name):
        raise VideoError(f"{name} does not exist. Pass a video file or a camera number such as 0.")
    try:
        return av.open(name, format=device)
    except (OSError, ValueError) as error:  # the base classes of FFmpeg's errors
        raise VideoError(f"{name}: {getattr(error, 'strerror', None) or error}") from None


def _exists(name: str) -> bool:
    with suppress(OSError):  # such as a name that is too long
        return Path(name).exists()
    return False


def _import_av() -> Any:
    with suppress(ImportError):
        import av
        import av.error

        return av
    raise MissingExtraError("video", "av") from None
