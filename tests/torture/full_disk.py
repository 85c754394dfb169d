"""Let the disk be full while a command writes, then free it and resume the command."""

import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.torture.attack import CommandAttack
from tests.torture.operations import before_each_operation, full_from
from tests.torture.outcomes import Outcome, Report

FREED = "1g"  # size of the file system after space was freed


class FullDisk(CommandAttack):
    """Three kinds of full disk in turns: no operation succeeds from the n-th one, files that may not grow beyond a
    size (`ulimit -f`), and, for root on Linux, a small file system that fills up.

    The command must end with a clear error, and complete its work when it is resumed with free space.
    """

    kind = "full-disk"
    planned = 30

    def attempt(self, number: int, out: Path) -> Report:
        """Run the command on a full disk, free it, resume the command, and judge its output."""
        generator = self.generator(number)
        kind = number % 3
        sizes = [path.stat().st_size for path in self.expected.rglob("*") if path.is_file()]
        if kind == 0:
            operation = int(generator.integers(1, len(self.operations) + 1))
            what = f"full from operation {operation}: {self.operations[operation - 1]}"
            return self._disturbed(out, lambda: before_each_operation(out, full_from(operation)), what)
        if kind == 2 and can_mount():
            size = int(generator.integers(4096, sum(sizes)))
            with small_file_system(out, size) as enlarge:
                return self._disturbed(out, lambda: None, f"a file system of {size:,} bytes", enlarge)
        size = int(generator.integers(0, max(sizes)))
        return self._disturbed(out, lambda: _limit_files(size), f"files of at most {size:,} bytes")

    def _disturbed(
        self, out: Path, before: Callable[[], object], what: str, free: Callable[[], object] = lambda: None
    ) -> Report:
        ended = self.start(out, "disturbed", before).wait()
        if ended.crash:
            return ended.crashed("disturbed").noted(what)
        free()
        report = self.resumed(out, ended.peak_bytes).noted(f"{what}: {ended.reason}")
        refused = ended.code == 1 and report.outcome is Outcome.SURVIVED
        return report.with_outcome(Outcome.REFUSED) if refused else report


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@cache
def can_mount() -> bool:
    """Return whether this process may mount a file system: root on Linux, but not in every container."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_file_system(Path(folder), 4096):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def small_file_system(folder: Path, size: int) -> Iterator[Callable[[], object]]:
    """Mount a file system in memory on a folder. Yields a function that enlarges it."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield lambda: subprocess.run(["mount", "-o", f"remount,size={FREED}", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)
