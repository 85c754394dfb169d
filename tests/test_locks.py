"""A lock keeps other processes out, and is released at its end or with its process."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from ferlab.errors import OutputError
from ferlab.locks import exclusive

HOLD = """
import sys, time
from pathlib import Path
from ferlab.errors import OutputError
from ferlab.locks import exclusive

with exclusive(Path("faces.csv"), Path(sys.argv[1]), OutputError):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(self: filelock.FileLock) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", unsupported)
    with (
        pytest.raises(OutputError, match="faces.csv cannot be locked: No locks available. Choose another --out"),
        exclusive(Path("faces.csv"), tmp_path / ".faces.csv.lock", OutputError),
    ):
        pytest.fail("the lock was not held")


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    lock_file = tmp_path / ".faces.csv.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock_file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        with (
            pytest.raises(OutputError, match="faces.csv is in use by another process. Wait for it, or choose"),
            exclusive(Path("faces.csv"), lock_file, OutputError),
        ):
            pytest.fail("the lock was not held")
        process.send_signal(signal.SIGKILL)
    with exclusive(Path("faces.csv"), lock_file, OutputError):
        assert lock_file.exists()
    assert not lock_file.exists()
