"""Run slow reads in a thread, so that Ctrl-C is heard while they wait."""

import math
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

from ferlab.errors import VideoError
from ferlab.predict.video_source import Frame, VideoSource

T = TypeVar("T")

CAPACITY = 4  # items that are read before they are needed
POLL_INTERVAL = 0.2  # seconds; Windows delivers Ctrl-C only between two waits
MAX_WAIT_AT_STOP = 0.5  # seconds
THREAD_NAME = "ferlab reader"


def still_reading() -> bool:
    """Return whether a thread waits inside a library, although its generator was stopped."""
    return any(thread.name == THREAD_NAME for thread in threading.enumerate())


class ReadAhead(Generic[T]):
    """Runs a generator in a thread and yields its items.

    A thread that waits inside a C library does not notice Ctrl-C. The consumer waits in Python, which does.

    Args:
        items: the generator. It is run and closed in the thread, which therefore owns its resources.
        newest_only: keep only the newest item, so that a slow consumer skips items instead of falling behind.
        timeout: seconds to wait for an item.

    Attributes:
        dropped: number of items so far that were replaced before they were used.
    """

    def __init__(
        self, items: Generator[T, None, None], *, newest_only: bool = False, timeout: float = math.inf
    ) -> None:
        self.dropped = 0
        self._items, self._newest_only, self._timeout = items, newest_only, timeout
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._stopped = self._finished = False
        self._changed = threading.Condition()
        # A daemon, because it may wait for a device that never answers.
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        """Yield the items.

        Raises:
            TimeoutError: if an item takes longer than the timeout.
            Exception: the error of the generator, after all its items.
        """
        try:
            while self._wait():
                with self._changed:
                    item = self._ready.popleft()
                    self._changed.notify()
                yield item
            if self._error:
                raise self._error
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the generator. If it waits inside a library, it is closed when that wait ends."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(MAX_WAIT_AT_STOP)

    def _wait(self) -> bool:
        """Wait until an item is ready, or the generator has finished. Returns whether an item is ready."""
        deadline = time.monotonic() + self._timeout
        with self._changed:
            while not self._ready and not self._finished:
                if time.monotonic() > deadline:
                    raise TimeoutError
                self._changed.wait(POLL_INTERVAL)
            return bool(self._ready)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
            self._items.close()
        except BaseException as error:  # device drivers raise any kind of exception
            self._error = error
        with self._changed:
            self._finished = True
            self._changed.notify()

    def _put(self, item: T) -> bool:
        """Pass an item to the consumer. Returns whether it wants more."""
        with self._changed:
            if self._newest_only:
                self.dropped += len(self._ready)
                self._ready.clear()
            while len(self._ready) >= CAPACITY and not self._stopped:
                self._changed.wait()
            self._ready.append(item)
            self._changed.notify()
            return not self._stopped


class ThreadedSource(VideoSource):
    """A video that a thread reads from a container of PyAV."""

    _container: Any = None
    _reader: ReadAhead[Frame] | None = None

    def close(self) -> None:
        """Close the container. While the thread reads, only the thread may do so."""
        if self._reader:
            self._reader.stop()
        elif self._container:
            self._container.close()
        self._container = None

    def _start(self, *, newest_only: bool = False, timeout: float = math.inf) -> ReadAhead[Frame]:
        """Start to read, once: FFmpeg crashes if a closed container is used."""
        if self._reader or not self._container:
            raise VideoError(f"{self.name} was already read or closed. Open it again.")
        self._reader = ReadAhead(self._read(self._container), newest_only=newest_only, timeout=timeout)
        return self._reader

    @abstractmethod
    def _read(self, container: Any) -> Generator[Frame, None, None]:
        """Yield the frames, and close the container at the end. This runs in the thread."""


def call_in_thread(function: Callable[[], T], *, timeout: float = math.inf) -> T:
    """Call a function in a thread and wait for its result, so that Ctrl-C is heard.

    Raises:
        TimeoutError: if the call takes longer than the timeout.
        Exception: the error of the function.
    """
    return next(iter(ReadAhead((function() for _ in range(1)), timeout=timeout)))
