"""Count the file operations of a process, and act before the n-th one: kill the process, or let the disk be full."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Audit events (https://docs.python.org/3/library/audit_events.html) that change a folder. `open` counts if it writes.
CHANGES = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link", "os.symlink"}
)
NEED_SPACE = frozenset({"open", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.fsync"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Act = Callable[[int, str], None]  # the number of an operation, from 1, and its audit event with the file


def before_each_operation(folder: Path, act: Act) -> None:
    """Call a function before each operation of this process that changes files in a folder.

    Counted are the opening of a file for writing, renaming, removing, creating folders, changing modes, and `fsync`.
    It cannot be undone: call it in a child.

    Args:
        folder: the folder.
        act: what to call. An exception takes the place of the operation.
    """
    begin, done = f"{folder}{os.sep}", 0

    def count(event: str, path: str) -> None:
        nonlocal done
        done += 1
        act(done, f"{event} {path.removeprefix(begin)}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in CHANGES and (event != "open" or (arguments[2] or 0) & WRITING):
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
            if path.startswith(begin):
                count(event, path)

    fsync = os.fsync

    def counted_fsync(descriptor: Any) -> None:
        count("os.fsync", "")
        fsync(descriptor)

    os.fsync = counted_fsync
    sys.addaudithook(hook)


def kill_at(number: int) -> Act:
    """Make the function that kills this process before the operation with a number."""

    def act(done: int, operation: str) -> None:
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def full_from(number: int) -> Act:
    """Make the function that lets operations fail as on a full disk, from the one with a number."""

    def act(done: int, operation: str) -> None:
        if done >= number and operation.partition(" ")[0] in NEED_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return act
