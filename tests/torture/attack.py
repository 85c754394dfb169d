"""`Attack`, the base class of all attacks, and `CommandAttack` for those that disturb a command."""

import json
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from tests.torture import children
from tests.torture.children import Child, Ended
from tests.torture.commands import Command, empty
from tests.torture.operations import before_each_operation
from tests.torture.outcomes import Outcome, Report
from tests.torture.outputs import judge

MIN_DURATION = 0.2  # seconds


class Attack(ABC):
    """One kind of attack: a sequence of attempts that follow from the seed and their numbers.

    Args:
        folder: the folder of the attack, which exists and is empty.
        seed: the seed of the campaign.

    Attributes:
        name: the name of the attack.
        planned: number of attempts in a complete campaign.
        uses_keras: whether it needs Keras.
    """

    name: str
    planned: int
    uses_keras = False

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed

    def prepare(self) -> None:  # noqa: B027  # some attacks need no inputs
        """Write the inputs of all attempts, and find out the result of an undisturbed one."""

    @abstractmethod
    def attempts(self, numbers: Iterable[int]) -> Iterator[tuple[int, Report]]:
        """Make the attempts with these numbers, counted from 0. Yields each number with its report."""

    def place(self, number: int) -> Path:
        """Return the folder of one attempt. It is removed if nothing is lost, wrong or crashed."""
        return self.folder / f"{number}"

    def generator(self, number: int) -> np.random.Generator:
        """Return the random numbers of one attempt."""
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), number])

    def in_child(self, work: Callable[[], object], name: str) -> Ended:
        """Run work in a child that must succeed, such as the preparation of inputs."""
        ended = children.run(work, self.folder / f"{name}.log")
        if ended.code:
            raise RuntimeError(f"{self.name}: {name} failed:\n{ended.output}")
        return ended


class ReadingAttack(Attack):
    """An attack on code that reads a file: many attempts share one process."""

    @abstractmethod
    def read(self, number: int) -> Report:
        """Make one attempt. It is called in a child; any exception but an error of ferlab is a crash."""

    def attempts(self, numbers: Iterable[int]) -> Iterator[tuple[int, Report]]:
        return children.call_each(self.read, numbers, self.folder / "reading.log")


class CommandAttack(Attack):
    """An attack on a command that writes files: what it leaves behind is resumed and compared.

    Args:
        folder: the folder of the attack.
        seed: the seed of the campaign.
        command: the class of the command.
    """

    kind: str

    def __init__(self, folder: Path, seed: int, command: type[Command]) -> None:
        super().__init__(folder, seed)
        self.command = command(folder.parent / f"undisturbed-{command.name}" / "inputs")
        self.name, self.uses_keras = f"{self.kind}-{command.name}", command.uses_keras

    def prepare(self) -> None:
        """Run the command undisturbed, unless another attack did, measure its time, and list its file operations."""
        measured = self.command.inputs.with_name("measured.json")
        if not measured.exists():
            empty(self.command.inputs)
            self.in_child(self.command.prepare, "inputs")
            self.in_child(lambda: self._measure(measured), "undisturbed")
        values = json.loads(measured.read_text())
        self.operations: list[str] = values["operations"]
        self.duration = max(MIN_DURATION, values["seconds"])

    def _measure(self, file: Path) -> None:
        operations: list[str] = []
        before_each_operation(empty(self.expected), lambda number, operation: operations.append(operation))
        started = time.monotonic()
        try:
            self.command.run(self.expected)
        finally:
            file.write_text(json.dumps({"seconds": time.monotonic() - started, "operations": operations}))

    @property
    def expected(self) -> Path:
        """The folder of the undisturbed output."""
        return self.command.inputs.with_name("expected")

    def attempts(self, numbers: Iterable[int]) -> Iterator[tuple[int, Report]]:
        for number in numbers:
            yield number, self.attempt(number, empty(self.place(number) / "out"))

    @abstractmethod
    def attempt(self, number: int, out: Path) -> Report:
        """Disturb the command, resume it, and judge what it wrote to a folder."""

    def start(self, out: Path, name: str, before: Callable[[], object] = lambda: None) -> Child:
        """Start the command in a child.

        Args:
            out: the folder of its output.
            name: the name of its log.
            before: called in the child first.
        """

        def work() -> None:
            before()
            self.command.run(out)

        return Child(work, out.parent / f"{name}.log")

    def resumed(self, out: Path, peak_bytes: int) -> Report:
        """Resume the command undisturbed, and compare its output with the expected one."""
        ended = self.start(out, "resumed").wait()
        peak = max(peak_bytes, ended.peak_bytes)
        if ended.crash:
            return Report(outcome=Outcome.CRASHED, note=f"resumed: {ended.crash}", peak_bytes=peak)
        if ended.code:
            return Report(outcome=Outcome.LOST, note=f"resumed: {ended.reason}", peak_bytes=peak)
        return self.judged(out, peak)

    def judged(self, out: Path, peak_bytes: int) -> Report:
        """Compare the output with the expected one, in a child."""
        log = out.parent / "judged.log"
        (_, report), *_ = children.call_each(lambda _: judge(out, self.expected), [0], log)
        return Report(outcome=report.outcome, note=report.note, peak_bytes=peak_bytes)
