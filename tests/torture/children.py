"""Run work in forked child processes, with limits of time and memory.

The campaign imports the large libraries once and forks for each piece of work, so an attempt costs no import. The
campaign itself starts no threads, because a thread does not survive a fork: it creates no tensor and no session.
"""

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.torture.outcomes import Outcome, Report

TIME_LIMIT = 600.0  # seconds of a child, or of one call of a child that makes many
MEMORY_LIMIT = 2_500_000_000  # bytes, with the libraries; TensorFlow alone takes 600 MB
POLL_INTERVAL = 0.005  # seconds
CALLS_PER_CHILD = 100
UNEXPECTED = 70  # exit code of a child that ends with an exception


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended.

    Args:
        code: its exit code; negative: the number of the signal that ended it.
        timed_out: whether it was killed for taking too long.
        peak_bytes: its largest memory.
        output: what it printed.
    """

    code: int
    timed_out: bool
    peak_bytes: int
    output: str

    @property
    def crash(self) -> str | None:
        """What is wrong with this end, unless it is a result or a clear error."""
        if self.timed_out:
            return f"no end within {TIME_LIMIT:g} s"
        if self.peak_bytes > MEMORY_LIMIT:
            return f"took {self.peak_bytes / 1e6:,.0f} MB of memory"
        if "Traceback (most recent call last)" in self.output or self.code not in (0, 1):
            return f"exit code {self.code}: {_last_line(self.output)}"
        return None if self.code == 0 or "error: " in self.output else f"exit code 1 without an error: {self.output}"

    def crashed(self, what: str) -> Report:
        """Return the report of a crash."""
        return Report(outcome=Outcome.CRASHED, note=f"{what}: {self.crash or self.reason}", peak_bytes=self.peak_bytes)

    @property
    def reason(self) -> str:
        """The last line that it printed."""
        return _last_line(self.output)


class Child:
    """A forked process. Its output goes to a file.

    Args:
        work: called in the child. Its exit code is that of a SystemExit, else 0.
        output: the file for standard output and standard error.
    """

    def __init__(self, work: Callable[[], object], output: Path) -> None:
        self.output, self.started = output, time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _run_and_exit(work, output)

    @property
    def running(self) -> bool:
        """Whether the child has not ended. Call it before `wait` returns."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, unless the child has ended."""
        if self.running:
            os.kill(self.pid, number)

    def wait(self) -> Ended:
        """Wait for the end, at most for the time limit."""
        timed_out = False
        while self.running:
            if time.monotonic() - self.started > TIME_LIMIT:
                timed_out = True
                self.kill()
            time.sleep(POLL_INTERVAL)
        _, status, usage = os.wait4(self.pid, 0)
        return Ended(
            code=os.waitstatus_to_exitcode(status),
            timed_out=timed_out,
            peak_bytes=usage.ru_maxrss * 1024,
            output=self.output.read_text(errors="replace"),
        )


def _run_and_exit(work: Callable[[], object], output: Path) -> NoReturn:
    code: int | str | None = UNEXPECTED
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work()
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except KeyboardInterrupt:  # before or after the command, which handles it
        code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def run(work: Callable[[], object], output: Path) -> Ended:
    """Run work in a child and wait for its end."""
    return Child(work, output).wait()


def call_each(function: Callable[[int], Report], numbers: Iterable[int], output: Path) -> Iterator[tuple[int, Report]]:
    """Call a function with each number, in children that make many calls each.

    A call that ends its child, takes too long or takes too much memory is reported as crashed, and the rest goes on in
    a new child.

    Args:
        function: returns the report of one call. Its exceptions are crashes.
        numbers: the numbers.
        output: the file for standard output and standard error.

    Yields:
        Each number with its report.
    """
    left = list(numbers)
    while left:
        batch, done = left[:CALLS_PER_CHILD], 0
        for report in _call_in_child(function, batch, output):
            yield batch[done], report
            done += 1
        left = left[done:]


def _call_in_child(function: Callable[[int], Report], numbers: list[int], output: Path) -> Iterator[Report]:
    """Yield the report of each number up to the first one that ends the child."""
    reading, writing = os.pipe()

    def work() -> None:
        os.close(reading)
        for number in numbers:
            os.write(writing, _called(function, number).to_line())

    child = Child(work, output)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        try:
            for _ in numbers:
                line = pipe.readline() if select.select([pipe], [], [], TIME_LIMIT)[0] else b""
                if not line:
                    break
                yield Report.from_line(line)
            else:
                return
        finally:  # also where the campaign ends the attack before its numbers end
            child.kill()
            ended = child.wait()
    limit = f"no end within {TIME_LIMIT:g} s, " if ended.code == -signal.SIGKILL else ""
    note = f"{limit}ended with {ended.code}: {ended.reason}"
    yield Report(outcome=Outcome.CRASHED, note=note, peak_bytes=ended.peak_bytes)


def _called(function: Callable[[int], Report], number: int) -> Report:
    try:
        report = function(number)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        note = f"{type(error).__name__}: {str(error)[:200]} ({Path(last.filename).name}, line {last.lineno})"
        report = Report(outcome=Outcome.CRASHED, note=note)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if peak > MEMORY_LIMIT:
        raise SystemExit(f"the call took {peak / 1e6:,.0f} MB of memory")
    return Report(outcome=report.outcome, note=report.note, peak_bytes=peak)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:300]
