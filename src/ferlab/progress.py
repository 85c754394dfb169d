"""Progress of long work, on standard error: one live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ferlab.formatting import duration
from ferlab.recipes import Recipe

PLAIN_INTERVAL = 60.0  # seconds between plain lines within an epoch


def console() -> Console:
    """Where progress and messages go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def bar(description: str, total: float | None, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """A bar, with time left where the size of the work is known. Yields a function that advances it."""
    output = console()
    with _bar(output, disable=quiet or not output.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)


def _bar(output: Console, disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=output,
        disable=disable,
        transient=True,
    )


class TrainingProgress:
    """Reports one training: its steps, its epochs, and the time left until it ends."""

    def __init__(self, recipe: Recipe, quiet: bool) -> None:
        self.recipe, self.quiet = recipe, quiet
        self.console = console()
        self.live = self.console.is_terminal and not quiet
        self.progress = _bar(self.console, disable=not self.live)
        self.task: Any = None
        self.spent: list[float] = []
        self.steps = self.done = 0
        self.epoch = 0
        self.began = self.paced = self.spoke = time.monotonic()

    def start(self, policy: str) -> None:
        """Says what begins."""
        self._say(f"{self.recipe.name or self.recipe.architecture}: {self.recipe.epochs} epochs in {policy}")
        self.progress.start()

    def stop(self) -> None:
        """Takes the live line away."""
        self.progress.stop()

    @contextmanager
    def features(self, total: int) -> Iterator[Callable[[int], None]]:
        """Progress over the images whose features a frozen backbone computes once."""
        self._say(f"computing the frozen backbone's features of {total:,} images, once")
        task = self.progress.add_task("features", total=total)
        yield lambda count: self.progress.advance(task, count)
        self.progress.remove_task(task)

    def begin_epoch(self, epoch: int, steps: int) -> None:
        """An epoch of so many steps begins."""
        self.epoch, self.steps, self.done = epoch, steps, 0
        self.began = self.spoke = time.monotonic()
        self.task = self.progress.add_task(f"epoch {epoch + 1}/{self.recipe.epochs}", total=steps)

    def step(self, accuracy: float) -> None:
        """One step is done; the accuracy is that of the epoch so far."""
        self.done += 1
        if self.done == 1:
            self.paced = time.monotonic()  # the first step of all builds the graph, and says nothing of the others
        self.progress.update(
            self.task,
            advance=1,
            description=f"epoch {self.epoch + 1}/{self.recipe.epochs} accuracy {accuracy:.3f}, run: {self._left()}",
        )
        if not self.live and time.monotonic() - self.spoke > PLAIN_INTERVAL:
            self.spoke = time.monotonic()
            self._say(f"  step {self.done}/{self.steps} accuracy {accuracy:.3f} ({self._left()})")

    def end_epoch(self, entry: dict[str, float]) -> None:
        """An epoch is done, with these figures."""
        self.progress.remove_task(self.task)
        self.spent.append(time.monotonic() - self.began)
        self.done, self.epoch = 0, self.epoch + 1
        left = "" if self.epoch == self.recipe.epochs else f", {self._left()}"
        self._say(
            f"epoch {self.epoch}/{self.recipe.epochs}  loss {entry['loss']:.4f}  accuracy {entry['accuracy']:.4f}  "
            f"val_loss {entry['val_loss']:.4f}  val_accuracy {entry['val_accuracy']:.4f}  "
            f"({duration(self.spent[-1])}{left})"
        )

    def finished(self, result: dict[str, Any]) -> None:
        """The run is over."""
        if result["validation"]:
            accuracy = f"{100 * result['validation']['accuracy']:.2f} % on validation"
        else:
            accuracy = f"{100 * result['selection_accuracy']:.2f} % on {result['selected_on']}"
        self._say(f"{result['status']}: best epoch {result['best_epoch']}, {accuracy}")

    def _left(self) -> str:
        epochs_left = self.recipe.epochs - self.epoch
        if self.done > 1:  # the pace of this epoch, which knows nothing of validation yet, or that of whole ones
            pace = (time.monotonic() - self.paced) / (self.done - 1) * self.steps
            whole = sum(self.spent) / len(self.spent) if self.spent else pace
            return f"{duration(pace * (1 - self.done / self.steps) + whole * (epochs_left - 1))} left"
        if self.spent:
            return f"{duration(sum(self.spent) / len(self.spent) * epochs_left)} left"
        return "time left not known yet"

    def _say(self, line: str) -> None:
        if not self.quiet:
            self.progress.console.print(line)
