"""Files are written whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from ferlab.errors import OutputError
from ferlab.files import remove_abandoned, temporary_path, write_atomically
from ferlab.predict.annotate import write_image
from ferlab.results import Result
from ferlab.runs import RunFolder


def test_a_full_disk_leaves_no_partly_written_file(tmp_path: Path) -> None:
    """/dev/full stands for the full disk: it rejects every write."""
    RunFolder(tmp_path).write_result(Result(status="completed", recipe="own", seed=0))

    def fill(file: IO[bytes]) -> None:
        file.write(b"half")
        with open("/dev/full", "wb") as full:
            full.write(b"the other half")

    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(tmp_path / "result.json", fill)
    result = RunFolder(tmp_path).result()
    assert result is not None
    assert result.status == "completed"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """Those of running processes and of other machines stay, and so do other hidden files."""
    code = (
        "import os, sys; from pathlib import Path; from ferlab.files import write_atomically\n"
        f"write_atomically(Path({str(tmp_path / 'killed.txt')!r}), lambda file: os.kill(os.getpid(), 9))"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    (abandoned,) = tmp_path.iterdir()
    own = temporary_path(tmp_path)
    foreign = tmp_path / f".ferlab-00000000-{2**22 + 1}-12345678"
    old = tmp_path / ".ferlab-00000000-1-12345678.keras"
    others = [tmp_path / name for name in (".hidden", ".ferlab-notes", "result.json")]
    for path in (own, foreign, old, *others):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(foreign, (2**32, 2**32))  # the clock was set back
    remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == {own, foreign, *others}
    assert not abandoned.exists()
    remove_abandoned(tmp_path / "missing")


def test_the_longest_name_that_the_disk_allows(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), lambda file: file.write(b"content"))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"content"]


@pytest.mark.skipif(sys.platform == "win32", reason="resource needs POSIX")
def test_a_limit_on_the_size_of_files_is_an_error(tmp_path: Path) -> None:
    """As with `ulimit -f`: the existing file stays."""
    (tmp_path / "kept.txt").write_text("kept")
    code = (
        "import resource; from pathlib import Path; from ferlab.files import write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"write_text(Path({str(tmp_path / 'kept.txt')!r}), 'x' * 2000)"
    )
    finished = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "OutputError" in finished.stderr and "File too large" in finished.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept.txt", "kept")]


NOISE = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files need POSIX")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_image_that_does_not_fit_on_the_disk_leaves_no_file(suffix: str, tmp_path: Path) -> None:
    """The last write may be shortened rather than rejected, which Pillow does not notice."""
    write_image(NOISE, tmp_path / f"whole.{suffix}")
    size = (tmp_path / f"whole.{suffix}").stat().st_size
    with files_limited_to(size - 10), pytest.raises(OutputError, match="File too large"):
        write_image(NOISE, tmp_path / f"cut.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == [f"whole.{suffix}"]


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let this process write no file beyond a size in bytes, as `ulimit -f` does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions as on POSIX")
def test_written_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "private.txt", lambda file: file.write(b"x"))
    finally:
        os.umask(before)
    assert (tmp_path / "private.txt").stat().st_mode & 0o777 == 0o600
