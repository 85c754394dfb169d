"""Run a command twice at the same time, with the same output; fill one cache from several processes."""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ferlab import load_dataset
from tests.torture.attack import Attack, CommandAttack
from tests.torture.children import Child
from tests.torture.commands import empty, small_dataset, write_table
from tests.torture.outcomes import Outcome, Report

PROCESSES = 4


class TwoProcesses(CommandAttack):
    """Start a command while it runs already. One of both must end its work, and the other one must not disturb it."""

    kind = "two-processes"
    planned = 20

    def attempt(self, number: int, out: Path) -> Report:
        """Start the command twice, and judge the output of both."""
        delay = float(self.generator(number).uniform(0, self.duration))
        first = self.start(out, "first")
        time.sleep(delay)
        second = self.start(out, "second")
        ends = [first.wait(), second.wait()]
        what = (
            f"the second one {delay:.2f} s later: {ends[0].code} ({ends[0].reason}), {ends[1].code} ({ends[1].reason})"
        )
        peak = max(ended.peak_bytes for ended in ends)
        for ended in ends:
            if ended.crash:
                return ended.crashed("one of two processes").noted(what)
        if all(ended.code for ended in ends):
            return Report(outcome=Outcome.LOST, note="both ended with an error", peak_bytes=peak).noted(what)
        return self.judged(out, peak).noted(what)


class FilledCache(Attack):
    """Load a dataset in several processes at the same time, with an empty cache. All must load the same images."""

    name = "filled cache"
    planned = 50

    def prepare(self) -> None:
        """Write a table."""
        write_table(self.folder / "fer2013.csv", small_dataset())

    def attempts(self, numbers: Iterable[int]) -> Iterator[tuple[int, Report]]:
        for number in numbers:
            yield number, self._attempt(empty(self.place(number)))

    def _attempt(self, place: Path) -> Report:
        def load() -> None:
            os.environ["XDG_CACHE_HOME"] = str(place)
            for _ in range(2):
                print(load_dataset(self.folder / "fer2013.csv").digests()[-1].hex())

        ends = [child.wait() for child in [Child(load, place / f"{index}.log") for index in range(PROCESSES)]]
        for ended in ends:
            if ended.crash:
                return ended.crashed("one of several processes")
        peak, files = max(ended.peak_bytes for ended in ends), [path.suffix for path in place.rglob("*.*")]
        if len({line for ended in ends for line in ended.output.split()}) > 1 or files.count(".npz") != 1:
            return Report(outcome=Outcome.WRONG, note=f"{[ended.output for ended in ends]}, {files}", peak_bytes=peak)
        return Report(outcome=Outcome.SURVIVED, peak_bytes=peak)
