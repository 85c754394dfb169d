"""`Engine`: what runs the trainings of a comparison or a sweep.

`LocalEngine` runs them one after the other in this process; `ferlab.distributed.engine.RayEngine` on a cluster.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ferlab.progress import ComparisonProgress


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A training that is to be run or resumed.

    Args:
        path: its run folder.
        work: its amount of computation, in any unit.
    """

    path: Path
    work: float = 1.0


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A training that ended.

    Args:
        path: its run folder.
        outcome: how it ended, in a few words.
        reason: why it failed; None otherwise.
    """

    path: Path
    outcome: str
    reason: str | None = None


# Trains the run with a number, and returns how it ended. It raises KeyboardInterrupt to end all runs.
Task = Callable[[int, ComparisonProgress], EndedRun | None]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """How runs ended.

    Args:
        ended: the runs that ended, by number; None where there was nothing left to run.
        interrupted: whether Ctrl-C ended the others.
    """

    ended: Mapping[int, EndedRun | None]
    interrupted: bool = False


class Engine(Protocol):
    """Runs trainings."""

    def run(self, task: Task, runs: Sequence[PlannedRun], first: int, quiet: bool) -> Outcomes:
        """Run trainings.

        Args:
            task: called with the number of each run. An engine may pickle it for other processes.
            runs: the runs.
            first: number of runs that ended before, for the progress.
            quiet: show no progress.

        Raises:
            Exception: what a task raises. It ends the other runs.
        """


class LocalEngine:
    """Runs trainings one after the other in this process."""

    def run(self, task: Task, runs: Sequence[PlannedRun], first: int, quiet: bool) -> Outcomes:
        """Run trainings; see `Engine.run`."""
        progress = ComparisonProgress([run.work for run in runs], quiet, first)
        ended: dict[int, EndedRun | None] = {}
        try:
            for number in range(len(runs)):
                ended[number] = task(number, progress)
        except KeyboardInterrupt:
            return Outcomes(ended=ended, interrupted=True)
        return Outcomes(ended=ended)
