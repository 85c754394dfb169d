"""Read cameras, with PyAV."""

import sys
import time
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

from ferlab.errors import VideoError
from ferlab.predict.read_ahead import ThreadedSource, call_in_thread
from ferlab.predict.video_file import DEFAULT_RATE, import_av, pixels_of
from ferlab.predict.video_source import Frame

# By platform: FFmpeg's input device, and its name of the camera with a number.
DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("vfwcap", "{}")}
TIMEOUT = 30.0  # seconds to wait for a frame


class Camera(ThreadedSource):
    """A camera.

    A thread reads the camera continuously and keeps only the newest frame, so that a slow consumer drops frames instead
    of falling behind.

    Args:
        number: the camera number, from 0.

    Raises:
        MissingExtraError: if PyAV is not installed.
        VideoError: if the camera cannot be opened.
    """

    def __init__(self, number: int) -> None:
        device, pattern = DEVICES.get(sys.platform, DEVICES["linux"])
        self.name = f"camera {number}"
        av = import_av()
        try:
            opened = partial(av.open, pattern.format(number), format=device)
            self._container = call_in_thread(opened, timeout=TIMEOUT)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(
                f"Camera {number} cannot be opened ({getattr(error, 'strerror', None) or 'no answer'}). Check that it "
                "is connected, that no other program uses it, that you have permission (Linux: the group 'video'; "
                "macOS: camera access for the terminal), and that its number is right: 0, 1, 2, ..."
            ) from None

    @property
    def dropped_frames(self) -> int:
        """Number of frames so far that were replaced by newer ones before they were used."""
        return self._reader.dropped if self._reader else 0

    def _frames(self) -> Iterator[Frame]:
        reader = self._start(newest_only=True, timeout=TIMEOUT)
        try:
            yield from reader
        except TimeoutError:
            raise self._stopped(f"no frame for {TIMEOUT:g} seconds") from None
        except Exception as error:  # camera drivers raise any kind of exception
            raise self._stopped(str(error) or type(error).__name__) from None

    def _stopped(self, reason: str) -> VideoError:
        return VideoError(f"{self.name} stopped: {reason}. Check that it is still connected.")

    def _read(self, container: Any) -> Generator[Frame, None, None]:
        start, interval = None, 1 / DEFAULT_RATE
        try:
            for number, frame in enumerate(container.decode(video=0)):
                now = time.monotonic()
                start = now if start is None else start
                yield Frame(number=number, seconds=now - start, duration=interval, load=partial(pixels_of, frame))
        finally:
            container.close()
