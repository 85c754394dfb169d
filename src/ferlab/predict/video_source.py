"""`VideoSource` and `Frame`: what videos, image sequences and cameras have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

import numpy as np

from ferlab.errors import VideoError


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A video frame.

    Args:
        number: the frame number, from 0.
        seconds: time since the first frame; it never decreases.
        duration: how long the frame is shown, in seconds.
        load: returns the pixels.
    """

    number: int
    seconds: float
    duration: float
    load: Callable[[], np.ndarray]

    @cached_property
    def pixels(self) -> np.ndarray:
        """The pixels `(H, W, 3)` uint8, RGB: upright, with square pixels, and transparent ones white."""
        return self.load()


class VideoSource(ABC):
    """A video, image sequence or camera, opened for reading. Use it as a context manager.

    Attributes:
        name: the file, URL or camera.
        duration: length in seconds; None if unknown.
        corrupt_packets: number of packets or frames so far that are damaged.
        position: end of the last frame so far, in seconds.
    """

    name: str
    duration: float | None = None
    corrupt_packets = 0
    position = 0.0

    @property
    def dropped_frames(self) -> int:
        """Number of frames so far that were skipped to keep up with a camera."""
        return 0

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order, once.

        Raises:
            VideoError: if no frame can be decoded, or the source cannot be read to its end. Frames before the error are
                yielded first.
        """
        frame = None
        for frame in self._frames():
            yield frame
            self.position = frame.seconds + frame.duration
        if frame is None:
            raise VideoError(f"{self.name}: no frame can be decoded. The file is damaged, or its codec is unsupported.")

    @abstractmethod
    def _frames(self) -> Iterator[Frame]: ...

    def close(self) -> None:  # noqa: B027  # most sources hold no resources
        """Release the file or device."""
