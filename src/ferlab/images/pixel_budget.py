"""`PixelBudget`: bound the memory of threads that decode images at the same time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ferlab.limits import PIXELS_IN_MEMORY


class PixelBudget:
    """Bounds the number of pixels that threads have in memory at the same time. One image is always let in.

    Args:
        pixels: the bound.
    """

    def __init__(self, pixels: int = PIXELS_IN_MEMORY) -> None:
        self._pixels = pixels
        self._reserved = 0
        self._changed = threading.Condition()

    @contextmanager
    def reservation(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that waits until a number of pixels fits, and reserves them until the context is left.

        A second call replaces the first one: a thread never waits while it holds what another one waits for.
        """
        own = 0

        def reserve(pixels: int) -> None:
            nonlocal own
            with self._changed:
                self._release(own)
                own = 0
                self._changed.wait_for(lambda: not self._reserved or self._reserved + pixels <= self._pixels)
                self._reserved += pixels
                own = pixels

        try:
            yield reserve
        finally:
            with self._changed:
                self._release(own)

    def _release(self, pixels: int) -> None:
        self._reserved -= pixels
        self._changed.notify_all()
