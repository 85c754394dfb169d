"""Progress of long work on standard error: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ferlab.formatting import counted, duration, printable
from ferlab.recipes import Recipe
from ferlab.results import Epoch, Result

PLAIN_INTERVAL = 60.0  # seconds between plain lines within an epoch


def console() -> Console:
    """Make the console for progress and messages: standard error.

    It prints text as it is, because a file name may look like markup or contain control characters.
    """
    return _PlainConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


class _PlainConsole(Console):
    def print(self, *lines: Any, **options: Any) -> None:
        super().print(*(printable(line) if isinstance(line, str) else line for line in lines), **options)


@contextmanager
def bar(description: str, total: float | None, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """Show a progress bar, with the time left if the total is known. Yields a function that advances it."""
    output = console()
    with live_bars(output, disable=quiet or not output.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)


def live_bars(output: Console, disable: bool) -> Progress:
    """Make live progress bars, each with the time that it takes and has left."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=output,
        disable=disable,
        transient=True,
        speed_estimate_period=300,  # seconds; the images of a shard are counted together
    )


class ComparisonProgress:
    """Report the runs of a comparison, and the time left for all of them.

    The time left is estimated from the speed so far.

    Args:
        work: the amount of computation of each run, in any unit.
        quiet: show nothing.
        first: number of runs that ended before.
    """

    def __init__(self, work: Sequence[float], quiet: bool, first: int = 0) -> None:
        self.work, self.quiet, self.first = work, quiet, first
        self.number = -1  # number of the current run
        self.first_share: float | None = None  # share of the current run that was done before it was resumed
        self.measured = 0.0  # work done since the start, without runs that were finished before
        self.started = time.monotonic()

    def begin(self, name: str) -> None:
        """Begin the next run."""
        self.number, self.first_share = self.number + 1, None
        self.print(f"[{self.first + self.number + 1}/{self.first + len(self.work)}] {name}")

    def left(self, share: float) -> str:
        """Describe the time left for all runs when a share, 0..1, of the current one is done."""
        if self.first_share is None:
            self.first_share = share
        current = self.work[self.number]
        measured = self.measured + (share - self.first_share) * current
        if not measured:
            return "time left unknown"
        rest = sum(self.work[self.number :]) - share * current
        return f"{duration((time.monotonic() - self.started) / measured * rest)} left"

    def end(self) -> None:
        """End the current run."""
        if self.first_share is not None:
            self.measured += (1 - self.first_share) * self.work[self.number]

    def print(self, line: str) -> None:
        """Print a line."""
        if not self.quiet:
            console().print(line)


class TrainingProgress:
    """Report the steps and epochs of one training, and the time left.

    Args:
        recipe: the recipe that is trained.
        quiet: show nothing.
        comparison: progress of the comparison that the training belongs to. The time left is then that of all runs,
            and there are no lines for single epochs.
    """

    def __init__(self, recipe: Recipe, quiet: bool, comparison: ComparisonProgress | None = None) -> None:
        self.recipe, self.quiet, self.comparison = recipe, quiet, comparison
        self.console = console()
        self.live = self.console.is_terminal and not quiet
        self.progress = live_bars(self.console, disable=not self.live)
        self.task: Any = None
        self.epoch_seconds: list[float] = []
        self.steps = self.done = 0
        self.epoch = 0
        self.epoch_started = self.pace_started = self.last_printed = time.monotonic()

    def start(self, policy: str) -> None:
        """Announce the training."""
        if not self.comparison:
            self._print(
                f"{self.recipe.name or self.recipe.architecture}: {counted(self.recipe.epochs, 'epoch')} in {policy}"
            )
        self.progress.start()

    def stop(self) -> None:
        """Remove the live line."""
        self.progress.stop()

    @contextmanager
    def features(self, total: int) -> Iterator[Callable[[int], None]]:
        """Show progress over the images whose features a frozen backbone computes once."""
        self._print(f"computing features of {total:,} images with the frozen backbone, once")
        task = self.progress.add_task("features", total=total)
        yield lambda count: self.progress.advance(task, count)
        self.progress.remove_task(task)

    def begin_epoch(self, epoch: int, steps: int) -> None:
        """Begin an epoch."""
        self.epoch, self.steps, self.done = epoch, steps, 0
        self.epoch_started = self.last_printed = time.monotonic()
        self.task = self.progress.add_task(f"{self._epoch()}, {self._left()}", total=steps)

    def step(self) -> None:
        """Count a step."""
        self.done += 1
        if self.done == 1:
            self.pace_started = time.monotonic()  # the first step also builds the graph, so its time is not typical
        self.progress.update(self.task, advance=1)

    def show(self, accuracy: float) -> None:
        """Show the accuracy of the epoch so far, 0..1."""
        description = f"{self._epoch()}, accuracy {accuracy:.3f}, {self._left()}"
        self.progress.update(self.task, description=description)
        if not self.live and time.monotonic() - self.last_printed > PLAIN_INTERVAL:
            self.last_printed = time.monotonic()
            self._print(f"  {self._epoch()}, step {self.done}/{self.steps}, accuracy {accuracy:.3f} ({self._left()})")

    def end_epoch(self, epoch: Epoch) -> None:
        """End an epoch, and report its measurements."""
        self.progress.remove_task(self.task)
        self.epoch_seconds.append(time.monotonic() - self.epoch_started)
        self.done, self.epoch = 0, self.epoch + 1
        if self.comparison:
            return
        left = "" if self.epoch == self.recipe.epochs else f", {self._left()}"
        self._print(
            f"epoch {self.epoch}/{self.recipe.epochs}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}  "
            f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}  "
            f"({duration(self.epoch_seconds[-1])}{left})"
        )

    def finished(self, result: Result) -> None:
        """Report the end of the run."""
        left = f" (all runs: {self.comparison.left(1.0)})" if self.comparison else ""
        self._print(f"{result.describe()}{left}")

    def _epoch(self) -> str:
        return f"epoch {min(self.epoch + 1, self.recipe.epochs)}/{self.recipe.epochs}"

    def _left(self) -> str:
        if self.comparison:
            share = (self.epoch + self.done / max(1, self.steps)) / self.recipe.epochs
            return f"all runs: {self.comparison.left(share)}"
        epochs_left = self.recipe.epochs - self.epoch
        if self.done > 1:  # the pace within this epoch; its validation is not included
            pace = (time.monotonic() - self.pace_started) / (self.done - 1) * self.steps
            whole = sum(self.epoch_seconds) / len(self.epoch_seconds) if self.epoch_seconds else pace
            return f"{duration(pace * (1 - self.done / self.steps) + whole * (epochs_left - 1))} left"
        if self.epoch_seconds:
            return f"{duration(sum(self.epoch_seconds) / len(self.epoch_seconds) * epochs_left)} left"
        return "time left unknown"

    def _print(self, line: str) -> None:
        if not self.quiet:
            self.progress.console.print(line)
