"""Progress of runs in other processes, read from their run folders."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferlab.engine import EndedRun, PlannedRun
from ferlab.errors import RunError
from ferlab.formatting import duration
from ferlab.progress import PLAIN_INTERVAL, console, live_bars
from ferlab.runs import RunFolder


class ClusterProgress:
    """Show the runs of a cluster in one display, with the time left for all of them. Use it as a context manager.

    On a terminal, each training has a live line. Elsewhere, a plain line lists them once a minute.

    Args:
        runs: the runs.
        first: number of runs that ended before.
        quiet: show nothing.
    """

    def __init__(self, runs: Sequence[PlannedRun], first: int, quiet: bool) -> None:
        self.first, self.quiet = first, quiet
        self.work = {run.path: run.work for run in runs}
        self.shares = dict.fromkeys(self.work, 0.0)  # share of its epochs that each run has done
        self.ended = 0
        self.console = console()
        self.live = self.console.is_terminal and not quiet
        self.bars = live_bars(self.console, disable=not self.live)
        self.lines: dict[Path, Any] = {}
        for path in self.work:
            self._read(path)
        self.done_before = self._done()
        self.started = self.printed = time.monotonic()

    def __enter__(self) -> "ClusterProgress":
        self.bars.start()
        self.total = self.bars.add_task("all runs", total=self.first + len(self.work), completed=self.first)
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def update(self) -> None:
        """Read the folders of the runs that have not ended."""
        for path, share in self.shares.items():
            if share < 1:
                self._read(path)
        self.bars.update(self.total, description=f"all runs, {self._left()}")
        if not self.live and time.monotonic() - self.printed > PLAIN_INTERVAL:
            self.printed = time.monotonic()
            running = ", ".join(f"{path.name} {100 * self.shares[path]:.0f} %" for path in self.lines)
            self.print(f"  running: {running or 'nothing yet'} ({self._left()})")

    def end(self, run: EndedRun) -> None:
        """End a run, and say how it ended."""
        self.shares[run.path] = 1.0
        if run.path in self.lines:
            self.bars.remove_task(self.lines.pop(run.path))
        self.ended += 1
        self.bars.advance(self.total)
        self.print(f"[{self.first + self.ended}/{self.first + len(self.work)}] {run.path.name}: {run.outcome}")

    def print(self, line: str) -> None:
        """Print a line."""
        if not self.quiet:
            self.bars.console.print(line)

    def _read(self, path: Path) -> None:
        run = RunFolder(path)
        try:
            if not run.exists():
                return
            epochs, planned = len(run.history()), run.recipe().epochs
        except RunError:  # the run itself fails with it
            return
        self.shares[path] = min(epochs / planned, 0.999)  # it ends with `end`
        if path not in self.lines:
            self.lines[path] = self.bars.add_task(path.name, total=planned)
        self.bars.update(self.lines[path], completed=epochs)

    def _done(self) -> float:
        return sum(work * self.shares[path] for path, work in self.work.items())

    def _left(self) -> str:
        measured = self._done() - self.done_before
        if measured <= 0:
            return "time left unknown"
        rest = sum(self.work.values()) - self._done()
        return f"{duration((time.monotonic() - self.started) / measured * rest)} left"
