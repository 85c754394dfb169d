"""Read whole files within limits, and write files atomically, so that no interruption leaves a partial file."""

import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ferlab.errors import OutputError
from ferlab.limits import MEBIBYTE

TEMPORARY_NAME = re.compile(r"\.ferlab-([0-9a-f]{8})-(\d{1,9})-[0-9a-f]{8}(?:\.\w+)?")  # with machine and process
MAX_SHOWN = 500  # characters of a name in a message
ABANDONED_AFTER = 86_400.0  # seconds after which no process is still writing a file


def exists(path: str | Path) -> bool:
    """Return whether a path exists. Unlike `Path.exists`, this accepts names of any length."""
    return os.path.exists(path)  # noqa: PTH110


def shown(name: str | Path) -> str:
    """Return a path or name for a message, with the middle of a very long one left out."""
    text = str(name)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN // 2]}...{text[-MAX_SHOWN // 2 :]}"


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        OSError: if it cannot be opened, or is a pipe or device, which may block forever or never end.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a folder raises the reason
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return open(path, "rb")


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a whole file.

    Raises:
        OSError: as in `open_regular`, or if the file is larger than `max_bytes`.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size <= max_bytes:
            content = file.read(max_bytes + 1)
            if len(content) <= max_bytes:
                return content
    raise OSError(errno.EFBIG, f"larger than the limit of {max_bytes // MEBIBYTE} MiB", str(path))


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file atomically: write a temporary file in the same folder, then rename it.

    Args:
        path: the file. Its folder is created if it is missing.
        write: called with the open temporary file.

    Raises:
        OutputError: if the disk is full or the folder is not writable. An existing file is not changed.
    """
    make_folder(path.parent)
    temporary = temporary_path(path.parent)
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Free some disk space or choose another location."
        ) from error
    finally:
        with suppress(OSError):  # such as a folder that is not writable
            temporary.unlink(missing_ok=True)


def temporary_path(folder: Path, suffix: str = "") -> Path:
    """Return the path of a new temporary file, which `remove_abandoned` removes if this process is killed."""
    return folder / f".ferlab-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of processes that were killed. Those of other machines are kept for a day."""
    with suppress(OSError):  # such as a folder that is missing or not writable
        for path in folder.glob(".ferlab-*"):
            if (found := TEMPORARY_NAME.fullmatch(path.name)) and _is_abandoned(path, *found.groups()):
                path.unlink()


def _is_abandoned(path: Path, machine: str, process: str) -> bool:
    if machine == _machine() and _has_ended(int(process)):
        return True
    return time.time() - path.stat().st_mtime > ABANDONED_AFTER


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _has_ended(process: int) -> bool:
    if sys.platform == "win32":  # os.kill would end it
        return False
    try:
        os.kill(process, 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except OSError:  # a process of another user
        return False
    return False


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8; see `write_atomically`.

    Raises:
        OutputError: if the file cannot be written.
    """
    write_atomically(path, lambda file: file.write(text.encode()))


def make_folder(path: Path) -> None:
    """Create a folder and its parents if they are missing.

    Raises:
        OutputError: if the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be created: {error.strerror or error}. Choose another location.") from error
