"""Generators that run in a thread."""

import threading
import time
from collections.abc import Iterator

import pytest

from ferlab.predict.read_ahead import CAPACITY, ReadAhead, call_in_thread


def test_all_items_come_before_the_error() -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise ValueError("the end")

    seen: list[int] = []
    with pytest.raises(ValueError, match="the end"):
        for item in ReadAhead(items()):
            seen.append(item)
    assert seen == list(range(20))


def test_only_a_few_items_are_read_ahead() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    iterator = iter(ReadAhead(items()))
    next(iterator)
    time.sleep(0.2)
    assert len(read) <= CAPACITY + 3
    iterator.close()


def test_leaving_the_loop_closes_the_generator_in_its_thread() -> None:
    closed_in: list[threading.Thread] = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread())

    for _ in ReadAhead(items()):
        break
    deadline = time.monotonic() + 5
    while not closed_in and time.monotonic() < deadline:
        time.sleep(0.01)
    assert closed_in != [threading.current_thread()]
    assert len(closed_in) == 1


def test_a_call_that_takes_too_long_is_an_error() -> None:
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        call_in_thread(lambda: ended.wait(20), timeout=0.3)
    ended.set()
    assert call_in_thread(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        call_in_thread(lambda: 1 / 0)
