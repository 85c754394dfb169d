"""Read video files and network streams, with PyAV."""

import logging
import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.errors import MissingExtraError, VideoError, reason_of
from ferlab.images.decode import read_image
from ferlab.limits import MAX_PIXELS
from ferlab.predict.read_ahead import ThreadedSource, call_in_thread
from ferlab.predict.video_source import Frame

TIMEOUT = 30.0  # seconds to wait for data from a server; live playlists are silent for 10 s and more
MAX_CORRUPT_PACKETS = 10_000  # give up on a source that only ever fails
TRUNCATED_SHARE = 0.9  # of the stated length; a file that ends earlier may have been cut off
MAX_JITTER = 2  # frames by which times may decrease within one recording
DEFAULT_RATE = 30.0  # frames per second, where the video states no frame rate
STILL_CODECS = ("bmp", "gif", "mjpeg", "png", "tiff", "webp")  # codecs of cover pictures
CAMERA_FORMAT = "mpjpeg"  # JPEG images over HTTP, without times: FFmpeg assumes 25 frames per second
RTSP_OPTIONS = {"rtsp_flags": "prefer_tcp"}  # UDP loses packets, and many networks block it


class VideoFile(ThreadedSource):
    """A video file or network stream. A thread reads it.

    Args:
        path: a path or URL in any format that FFmpeg reads.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if the file cannot be opened, has no video stream, or a server sends nothing for 30 seconds.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self._container = call_in_thread(partial(_open, self.name))
        try:
            self._stream = _main_stream(self.name, self._container)
        except VideoError:
            self._container.close()
            raise
        self._stream.thread_type = "AUTO"
        self.duration = _duration(self._stream, self._container)

    def _frames(self) -> Iterator[Frame]:
        yield from self._start()
        if self.duration and self.position < TRUNCATED_SHARE * self.duration - 1:
            message = "%s: the video ends after %.1f of %.1f seconds. The file may be incomplete."
            logging.getLogger("ferlab").warning(message, self.name, self.position, self.duration)

    def _read(self, container: Any) -> Generator[Frame, None, None]:
        aspect = float(self._stream.sample_aspect_ratio or 1)
        without_times = container.format.name == CAMERA_FORMAT
        clock = FrameClock(interval=1 / float(self._stream.guessed_rate or DEFAULT_RATE))
        try:
            for number, frame in enumerate(self._decode(container)):
                duration = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
                yield Frame(
                    number=number,
                    seconds=clock.seconds(time.monotonic() if without_times else frame.time),
                    duration=duration or clock.interval,
                    load=partial(self._pixels, number, frame, aspect),
                )
        finally:
            container.close()

    def _pixels(self, number: int, frame: Any, aspect: float) -> np.ndarray:
        """Convert a frame, which may be much wider than it is stored."""
        import av

        width, height = round(frame.width * aspect), frame.height
        if width * height > MAX_PIXELS:
            raise VideoError(
                f"{self.name}: frame {number} has {width}x{height} pixels, more than the limit of {MAX_PIXELS:,}."
            )
        try:
            return pixels_of(frame, aspect)
        except (av.error.FFmpegError, ValueError) as error:
            raise VideoError(f"{self.name}: frame {number} cannot be converted: {reason_of(error)}.") from None

    def _decode(self, container: Any) -> Iterator[Any]:
        """Yield the frames as PyAV returns them. Corrupt packets are counted and skipped."""
        import av

        packets = container.demux(self._stream)
        while True:
            started = time.monotonic()
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.InvalidDataError:
                self._count_corrupt_packet()
                packets = container.demux(self._stream)
            except av.error.FFmpegError as error:
                yield from self._decode_packet(None)  # frames that the decoder still holds
                raise VideoError(f"{_reason(self.name, error, started)} The video is incomplete.") from None
            else:
                yield from self._decode_packet(packet)

    def _decode_packet(self, packet: Any) -> list[Any]:
        """Decode a packet, or the rest if it is None."""
        import av

        if packet and packet.is_corrupt:
            self._count_corrupt_packet()
        try:
            return self._stream.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self._count_corrupt_packet()
            return []

    def _count_corrupt_packet(self) -> None:
        self.corrupt_packets += 1
        if self.corrupt_packets > MAX_CORRUPT_PACKETS:
            raise VideoError(f"{self.name} is damaged: too many packets cannot be decoded.")


class FrameClock:
    """Converts the times that a file states to seconds since the first frame.

    Files may state no times. Where two recordings are joined, the time starts again.

    Args:
        interval: seconds from a frame to the next, where the file does not say.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._offset: float | None = None
        self._last = -interval

    def seconds(self, stated: float | None) -> float:
        """Return the time of the next frame, in seconds."""
        following = self._last + self.interval
        if stated is None:
            self._last = following
            return following
        if self._offset is None or stated + self._offset < self._last - MAX_JITTER * self.interval:
            self._offset = following - stated
        self._last = max(self._last, stated + self._offset)
        return self._last


def _open(name: str) -> Any:
    av = import_av()
    is_url = "://" in name
    if not is_url and not _exists(name):
        raise VideoError(f"{name} does not exist. Pass a video, a folder of images, or a camera number such as 0.")
    started = time.monotonic()
    try:
        if is_url:
            return av.open(name, timeout=TIMEOUT, options=RTSP_OPTIONS if name.startswith("rtsp") else {})
        return av.open(str(Path(name).absolute()))  # FFmpeg takes the relative path `10:30.mp4` for a URL
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(_reason(name, error, started)) from None


def _reason(name: str, error: Exception, started: float) -> str:
    """Describe an error of a call that started at a time."""
    import av

    timed_out = isinstance(error, av.error.ExitError) or time.monotonic() - started >= TIMEOUT  # reported in many ways
    if "://" in name and timed_out:
        return f"{name} sent no data for {TIMEOUT:g} seconds. Check the address and the server."
    return f"{name}: {getattr(error, 'strerror', None) or error}."


def _exists(name: str) -> bool:
    with suppress(OSError):  # such as a name that is too long
        return Path(name).exists()
    return False


def _main_stream(name: str, container: Any) -> Any:
    """Choose the video stream to read. Cover pictures and previews are video streams, too."""
    from av.stream import Disposition

    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        cover = ", only a cover picture" if container.streams.video else ""
        raise VideoError(f"{name} has no video stream{cover}. Pass a video file.")
    streams = [stream for stream in streams if stream.codec_context]
    if not streams:
        raise VideoError(f"{name}: its video codec is not supported. Convert the video, for example to H.264.")
    streams = [stream for stream in streams if stream.codec_context.name not in STILL_CODECS] or streams
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def _duration(stream: Any, container: Any) -> float | None:
    """Return the length of a video stream in seconds, or of the whole file; None if unknown."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if not container.duration:
        return None
    offset = container.start_time or 0 if "matroska" in container.format.name else 0  # its durations begin at time 0
    return (container.duration - offset) / 1e6


def pixels_of(frame: Any, aspect: float = 1.0) -> np.ndarray:
    """Convert a frame of PyAV to `(H, W, 3)` uint8, RGB.

    `aspect` is the width of a pixel divided by its height.
    """
    from PIL import Image

    transparent = any(component.is_alpha for component in frame.format.components)
    pixels = frame.to_ndarray(
        format="rgba" if transparent else "rgb24", width=max(1, round(frame.width * aspect)), height=frame.height
    )
    if transparent:
        pixels = read_image(Image.fromarray(pixels)).pixels
    return np.ascontiguousarray(orient(pixels, _display_matrix(frame)))


def orient(pixels: np.ndarray, matrix: Sequence[float]) -> np.ndarray:
    """Apply a display matrix to pixels. Angles are rounded to right angles.

    Args:
        pixels: `(H, W, C)`.
        matrix: `a, b, c, d`: the pixel at `(x, y)` is displayed at `(ax + cy, bx + dy)`, up to a translation.
    """
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _display_matrix(frame: Any) -> Sequence[float]:
    """Return `a, b, c, d` of a frame of PyAV."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # the frame has side data of a type that PyAV does not know
        angle = math.radians(frame.rotation)
        return math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    return a, b, c, d


def import_av() -> Any:
    """Import PyAV.

    Raises:
        MissingExtraError: if it is not installed.
    """
    with suppress(ImportError):
        import av
        import av.error

        return av
    raise MissingExtraError("video", "av") from None
