"""Write video files, with PyAV."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ferlab.errors import OutputError, reason_of
from ferlab.files import make_folder, remove_abandoned, temporary_path
from ferlab.predict.video_file import import_av

TIME_BASE = Fraction(1, 90_000)  # seconds; a common multiple of the usual frame rates
MAX_SIDE = 16_384  # pixels in H.264; larger frames are scaled
NOMINAL_RATE = 30  # frames per second, a hint for the encoder; each frame has its own time
OPTIONS = {"crf": "20", "preset": "veryfast", "bf": "0"}  # without B-frames, the last packet is the last frame


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
        self.path = path
        self._temporary = temporary_path(path.parent, ".mp4")
        self._container: Any = None
        self._stream: Any = None
        self._packet: Any = None  # the last one so far, which is written when its duration is known
        self._last_time = -1  # in units of TIME_BASE
        self._end = 0  # in units of TIME_BASE

    def __enter__(self) -> "VideoWriter":
        av = import_av()
        make_folder(self.path.parent)
        remove_abandoned(self.path.parent)
        try:
            self._container = av.open(str(self._temporary.absolute()), "w")
        except OSError as error:
            raise self._write_error(error) from None
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
            else:
                with suppress(Exception):  # the first error is the one to report
                    self._container.close()
        except (OSError, import_av().error.FFmpegError) as failure:
            raise self._write_error(failure) from None
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        """Append a frame.

        Args:
            pixels: `(H, W, 3)` uint8, RGB. All frames get the size of the first one: others are scaled, and centered on
                black.
            seconds: the time at which the frame is shown.

        Raises:
            OutputError: if the file cannot be written, for example because the disk is full.
        """
        try:
            self._write(pixels, seconds)
        except (OSError, import_av().error.FFmpegError) as error:
            raise self._write_error(error) from None

    def extend(self, seconds: float) -> None:
        """Show the last frame until a time, in seconds."""
        self._end = max(self._end, round(seconds / TIME_BASE))

    def _write_error(self, error: Exception) -> OutputError:
        return OutputError(f"{self.path} cannot be written: {reason_of(error)}. Free space, or choose another --out.")

    def _write(self, pixels: np.ndarray, seconds: float) -> None:
        import av
        from PIL import Image, ImageOps

        height, width = (max(1, side // 2 * 2) for side in pixels.shape[:2])
        pixels = pixels[:height, :width]
        if self._stream is None:  # with even sides, for yuv420p
            scale = min(1.0, MAX_SIDE / max(height, width))
            self._add_stream(*(max(2, int(scale * side) // 2 * 2) for side in (width, height)))
        size = (self._stream.width, self._stream.height)
        if (pixels.shape[1], pixels.shape[0]) != size:
            pixels = np.asarray(ImageOps.pad(Image.fromarray(pixels), size))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._last_time = max(self._last_time + 1, round(seconds / TIME_BASE))  # times must increase
        frame.pts, frame.time_base = self._last_time, TIME_BASE
        self.extend(seconds + 1 / NOMINAL_RATE)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self._packet:
                self._container.mux(self._packet)
            self._packet = packet

    def _finish(self) -> None:
        if self._stream:
            self._mux(self._stream.encode(None))
            self._packet.duration = max(1, self._end - self._last_time)  # other frames last until the next one
            self._container.mux(self._packet)
        self._container.close()
        if self._stream:
            self._temporary.replace(self.path)

    def _add_stream(self, width: int, height: int) -> None:
        self._stream = self._container.add_stream("libx264", rate=NOMINAL_RATE, options=OPTIONS)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
