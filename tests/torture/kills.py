"""Kill a command with SIGKILL before each of its file operations, or stop it at random moments, and resume it."""

import signal
import time
from pathlib import Path

import numpy as np

from tests.torture.attack import CommandAttack
from tests.torture.operations import before_each_operation, kill_at
from tests.torture.outcomes import Report

MOMENTS = 25  # attempts for each command
MAX_STOPS = 3  # per attempt


class KillAtOperation(CommandAttack):
    """Kill a command before the n-th file operation, once for each n, in random order."""

    kind = "kill-at-operation"

    def prepare(self) -> None:
        """See `CommandAttack.prepare`."""
        super().prepare()
        self.planned = len(self.operations)
        self.order = np.random.default_rng(self.seed).permutation(self.planned)

    def attempt(self, number: int, out: Path) -> Report:
        """Kill the command before one operation, resume it, and judge its output."""
        operation = int(self.order[number]) + 1
        killed = self.start(out, "killed", lambda: before_each_operation(out, kill_at(operation))).wait()
        report = self.resumed(out, killed.peak_bytes)
        if killed.code != -signal.SIGKILL:
            return report.noted(f"not killed before operation {operation}, but ended with {killed.code}")
        return report.noted(f"killed before operation {operation}: {self.operations[operation - 1]}")


class StopAtMoment(CommandAttack):
    """Stop a command up to three times at random moments, mostly with SIGKILL, sometimes as Ctrl-C does."""

    kind = "stop-at-moment"
    planned = MOMENTS

    def attempt(self, number: int, out: Path) -> Report:
        """Stop the command again and again, resume it, and judge its output."""
        generator, peak, stops = self.generator(number), 0, []
        for stop in range(1 + int(generator.integers(MAX_STOPS))):
            kind = signal.SIGINT if generator.random() < 0.25 else signal.SIGKILL
            delay = float(generator.uniform(0, self.duration))
            child = self.start(out, f"stopped-{stop + 1}")
            while time.monotonic() - child.started < delay and child.running:
                time.sleep(0.001)
            child.kill(kind)
            ended = child.wait()
            peak = max(peak, ended.peak_bytes)
            stops.append(f"{kind.name} after {delay:.2f} s: {ended.code}")
            if kind is signal.SIGINT and "Traceback (most recent call last)" in ended.output:
                return ended.crashed("Ctrl-C").noted("; ".join(stops))
        return self.resumed(out, peak).noted("; ".join(stops))
