"""Films and cameras, by PyAV: frames with their times in, films out."""

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

# By platform: the input device of FFmpeg, and what it calls camera number {}.
CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
TIME_BASE = Fraction(1, 90_000)  # seconds; a common multiple of usual frame rates
BROKEN_LIMIT = 10_000  # packets; a reader that only ever fails would never end
RATE = 30  # frames a second that an encoder is told to expect; the times of frames are their own


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a film.

    Attributes:
        number: from 0.
        seconds: since the first one; never less than that of the frame before.
        picture: PyAV's own frame.
        aspect: width of a pixel over its height.
    """

    number: int
    seconds: float
    picture: Any
    aspect: float = 1.0

    @cached_property
    def pixels(self) -> np.ndarray:
        """The pixels `(H, W, 3)` uint8, RGB: square ones, and turned as the film says, for telephones lie down."""
        width = max(1, round(self.picture.width * self.aspect))
        pixels = self.picture.to_ndarray(format="rgb24", width=width, height=self.picture.height)
        return np.ascontiguousarray(np.rot90(pixels, round(self.picture.rotation / 90) % 4))


class VideoFile:
    """A film in a file, or a stream under an address. A context.

    Args:
        path: of anything that FFmpeg reads.

    Attributes:
        duration: seconds, where the file tells.
        broken: number of packets that could not be decoded, so far.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if it cannot be opened, or has no pictures.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self.broken = self.dropped = 0
        self._container = _open(self.name)
        if not self._container.streams.video:
            self._container.close()
            raise VideoError(f"{self.name} holds no pictures. Give a film.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        length = self._container.duration
        self.duration = length / 1e6 if length else None

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """The frames, in order. What cannot be decoded is counted and left out.

        Raises:
            VideoError: if nothing at all can be decoded.
        """
        aspect, rate = float(self._stream.sample_aspect_ratio or 1), float(self._stream.guessed_rate or RATE)
        first, latest = None, 0.0
        for number, picture in enumerate(self._pictures()):
            moment = number / rate if picture.time is None else float(picture.time)
            first = moment if first is None else first
            latest = max(latest, moment - first)
            yield Frame(number=number, seconds=latest, picture=picture, aspect=aspect)
        if first is None:
            raise VideoError(f"{self.name}: none of its pictures can be decoded. Is it damaged, or of a rare kind?")

    def _pictures(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                yield from packet.decode()
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError:
                self.broken += 1
                if self.broken > BROKEN_LIMIT:
                    raise VideoError(f"{self.name} is damaged: hardly anything of it can be decoded.") from None


class Camera:
    """A camera. A thread reads it all the time and keeps the newest frame alone, so that late answers do not pile up.

    A context: on leaving it, the camera is given back.

    Args:
        number: of the camera, from 0.

    Attributes:
        dropped: number of frames that nobody had time to look at, so far.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if it cannot be opened.
    """

    duration = None
    broken = 0

    def __init__(self, number: int) -> None:
        form, pattern = CAMERAS.get(sys.platform, CAMERAS["linux"])
        self.name = f"camera {number}"
        self.dropped = 0
        try:
            self._container = _open(pattern.format(number), form)
        except VideoError as error:
            raise VideoError(
                f"Camera {number} cannot be opened ({error}). Is it plugged in? Does another program use it? May you "
                "use it (on Linux: are you in the group video; on macOS: may the terminal use the camera)? Has it "
                "another number: 0, 1, 2, ...?"
            ) from None
        self._newest: _Newest = _Newest()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Camera":
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._newest.close()
        self._thread.join(timeout=5)
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """The newest frame, whenever it is asked for; times are those since the first one."""
        while (frame := self._newest.take()) is not None:
            yield frame
        if self._newest.error:
            raise VideoError(f"{self.name} stopped: {self._newest.error}. Is it still plugged in?")

    def _read(self) -> None:
        started = None
        try:
            for number, picture in enumerate(self._container.decode(video=0)):
                now = time.monotonic()
                started = now if started is None else started
                if self._newest.closed:
                    return
                self.dropped += self._newest.put(Frame(number=number, seconds=now - started, picture=picture))
        except Exception as error:  # whatever a driver dies of
            self._newest.error = str(error) or type(error).__name__
        self._newest.close()


@dataclass
class _Newest:
    """A place for one frame, which a newer one takes."""

    frame: Frame | None = None
    closed: bool = False
    error: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, frame: Frame) -> int:
        """Lays a frame there, and says how many it took the place of: 0 or 1."""
        with self.changed:
            replaced = int(self.frame is not None)
            self.frame = frame
            self.changed.notify()
            return replaced

    def take(self) -> Frame | None:
        """Waits for a frame and takes it away; None once it is closed and empty."""
        with self.changed:
            while self.frame is None and not self.closed:
                self.changed.wait(timeout=0.2)  # Ctrl-C is heard between two waits
            frame, self.frame = self.frame, None
            return frame

    def close(self) -> None:
        """Lets nobody wait any longer."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class VideoWriter:
    """A film, in H.264, without sound. A context; the film is there, and whole, when that is left without an error.

    Args:
        path: of the film, `.mp4`. One that is there is replaced.

    Raises:
        MissingExtraError: if PyAV is not installed.
        OutputError: if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self.path = path
        self._temporary = path.with_name(f".{path.name}.part.mp4")
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> "VideoWriter":
        av = _import_av()
        try:
            self._container = av.open(str(self._temporary), "w")
        except OSError as error:
            raise self._failed(error) from None
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
                raise self._failed(failure) from None
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        """Adds a frame `(H, W, 3)` uint8, RGB, to be shown from a time on.

        Raises:
            OutputError: if the disk is full.
        """
        try:
            self._write(pixels, seconds)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path} cannot be written: {error.strerror}. Free space, or choose another --out.")

    def _write(self, pixels: np.ndarray, seconds: float) -> None:
        import av

        pixels = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]  # H.264 halves the colors' resolution
        if self._stream is None:
            self._begin(pixels.shape[1], pixels.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._last = max(self._last + 1, round(seconds / TIME_BASE))  # times must grow
        frame.pts, frame.time_base = self._last, TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def _begin(self, width: int, height: int) -> None:
        self._stream = self._container.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE


def open_video(source: str) -> VideoFile | Camera:
    """Opens a film or, by its number, a camera."""
    return Camera(int(source)) if source.isdecimal() and not Path(source).exists() else VideoFile(source)


def _open(name: str, form: str | None = None) -> Any:
    av = _import_av()
    if form is None and "://" not in name and not _is_there(name):
        raise VideoError(f"{name} does not exist. Give a film, or the number of a camera, such as 0.")
    try:
        return av.open(name, format=form)
    except (OSError, ValueError) as error:  # FFmpeg's errors are of these kinds
        raise VideoError(f"{name}: {getattr(error, 'strerror', None) or error}") from None


def _is_there(name: str) -> bool:
    with suppress(OSError):  # such as a name that is too long
        return Path(name).exists()
    return False


def _import_av() -> Any:
    with suppress(ImportError):
        import av
        import av.error

        return av
    raise MissingExtraError("video", "av") from None
