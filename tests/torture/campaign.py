"""Run attacks within a time, count the outcomes, and keep the inputs of the failures."""

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ferlab.formatting import duration
from tests.torture.attack import Attack
from tests.torture.commands import COMMANDS, empty
from tests.torture.damaged_files import KINDS, DamagedCache, DamagedFile
from tests.torture.endless_models import EndlessModels
from tests.torture.full_disk import FullDisk
from tests.torture.images import Images
from tests.torture.kills import KillAtOperation, StopAtMoment
from tests.torture.outcomes import Outcome
from tests.torture.two_processes import FilledCache, TwoProcesses

LINE_INTERVAL = 20.0  # seconds between lines of progress
COMMAND_ATTACKS = (KillAtOperation, StopAtMoment, FullDisk, TwoProcesses)


@dataclass(kw_only=True)
class Tally:
    """The outcomes of one attack.

    Args:
        attack: its name.
        planned: number of attempts of a complete campaign.
        outcomes: number of attempts by outcome.
        peak_bytes: the largest memory of a process.
        seconds: wall time.
    """

    attack: str
    planned: int
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    peak_bytes: int = 0
    seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """Number of attempts made."""
        return self.outcomes.total()


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An attempt that lost something, got something wrong, or crashed.

    Args:
        attack: the attack.
        index: number of the attempt.
        outcome: the outcome.
        note: what happened.
        folder: its inputs and outputs.
    """

    attack: str
    index: int
    outcome: Outcome
    note: str
    folder: Path


def attacks() -> dict[str, Callable[[Path, int], Attack]]:
    """All attacks by name, each as a function of its folder and the seed. Those without Keras come first."""
    makers: dict[str, Callable[[Path, int], Attack]] = {}
    light = [kind for kind in KINDS if not kind.uses_keras]
    for reading in (Images, DamagedCache, EndlessModels, FilledCache):
        makers[reading.name] = reading
    for kind in (*light, *(kind for kind in KINDS if kind.uses_keras)):
        makers[kind.name] = lambda folder, seed, kind=kind: DamagedFile(folder, seed, kind)
    for command in COMMANDS:
        for attack in COMMAND_ATTACKS:
            name = f"{attack.kind}-{command.name}"
            makers[name] = lambda folder, seed, attack=attack, command=command: attack(folder, seed, command)
    return makers


class Campaign:
    """Attacks that share a time.

    Each attack gets an equal part of the time that is left: one that ends early leaves its time to those after it.

    Args:
        folder: where everything is written.
        seed: the seed.
        seconds: wall time of all attacks.
        attempts: number of attempts of each attack at most; None for as many as are planned.

    Attributes:
        tallies: the outcomes of each attack so far.
        failures: the attempts that failed so far. Their folders are kept.
    """

    def __init__(self, folder: Path, seed: int, seconds: float, attempts: int | None = None) -> None:
        self.folder, self.seed, self.attempts = folder, seed, attempts
        self.end = time.monotonic() + seconds
        self.tallies: list[Tally] = []
        self.failures: list[Failure] = []

    def run(self, names: Sequence[str], index: int | None = None) -> Iterator[Tally]:
        """Run attacks one after the other.

        Args:
            names: names of the attacks.
            index: the only attempt to make.

        Yields:
            The outcomes of each attack, when it has ended.
        """
        import_libraries()
        for number, name in enumerate(names):
            yield self._attack(name, len(names) - number, index)

    def _attack(self, name: str, attacks_left: int, index: int | None) -> Tally:
        started = time.monotonic()
        folder = empty(self.folder / name.replace(" ", "-").replace(",", ""))
        attack = attacks()[name](folder, self.seed)
        if attack.uses_keras:
            import_keras()
        attack.prepare()
        end = time.monotonic() + max(0.0, self.end - time.monotonic()) / attacks_left
        planned = min(attack.planned, self.attempts or attack.planned)
        numbers = range(planned) if index is None else [index]
        tally = Tally(attack=name, planned=attack.planned)
        self.tallies.append(tally)
        printed = time.monotonic()
        reports = attack.attempts(numbers)
        for number, report in reports:
            tally.outcomes[report.outcome] += 1
            tally.peak_bytes = max(tally.peak_bytes, report.peak_bytes)
            tally.seconds = time.monotonic() - started
            if report.outcome.acceptable:
                shutil.rmtree(attack.place(number), ignore_errors=True)
            else:
                self._fail(attack, number, report.outcome, report.note)
            if index is not None:
                _print(f"{name}, attempt {number}: {report.outcome}: {report.note}")
            if time.monotonic() - printed > LINE_INTERVAL:
                printed = time.monotonic()
                _print(f"  {name}: {tally.attempts:,} of {planned:,}, {duration(max(0, self.end - printed))} left")
            if time.monotonic() > end and tally.attempts:
                break
        reports.close()  # ends the child that works ahead
        tally.seconds = time.monotonic() - started
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in tally.outcomes.items())
        left = duration(max(0, self.end - time.monotonic()))
        _print(f"{name}: {counts} ({duration(tally.seconds)}, {left} left for all)")
        return tally

    def _fail(self, attack: Attack, number: int, outcome: Outcome, note: str) -> None:
        failure = Failure(attack=attack.name, index=number, outcome=outcome, note=note, folder=attack.place(number))
        self.failures.append(failure)
        _print(f"{outcome.upper()}: {note}\n    in {failure.folder}\n    repeat: {repeat_command(failure, self.seed)}")


def repeat_command(failure: Failure, seed: int) -> str:
    """Return the command that repeats one attempt."""
    return f"python -m tests.torture --seed {seed} --attack '{failure.attack}' --index {failure.index}"


def import_libraries() -> None:
    """Import what commands without Keras need, and initialize nothing: no session, no detector."""
    import onnxruntime  # noqa: F401
    import PIL.Image
    import pydantic  # noqa: F401

    import ferlab.cli
    import ferlab.evaluation.predictions
    import ferlab.images.detectors
    import ferlab.predict.batch
    import ferlab.predict.table_files  # noqa: F401

    PIL.Image.init()  # the decoders of all formats


def import_keras() -> None:
    """Import what the Keras commands need, without starting TensorFlow's threads: no tensor is created."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ferlab.backend import quiet_start

    with quiet_start():
        import keras  # noqa: F401

        import ferlab.comparison.compare
        import ferlab.explanation.explain
        import ferlab.report.report
        import ferlab.training.callbacks
        import ferlab.training.fused
        import ferlab.training.train  # noqa: F401


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
