"""Lock files keep other processes away from what one process writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from ferlab.errors import FerlabError


@contextmanager
def exclusive(path: Path, lock_file: Path, error: type[FerlabError]) -> Iterator[None]:
    """Hold a lock file, and remove it at the end. A killed process releases the lock.

    Args:
        path: what the lock protects, for the message.
        lock_file: the lock file, in an existing folder.
        error: the kind of error to raise.

    Raises:
        FerlabError: of that kind, if another process holds the lock, or the file system has no locks.
    """
    lock = filelock.FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise error(f"{path} is in use by another process. Wait for it, or choose another --out.") from None
    except OSError as failure:
        raise error(f"{path} cannot be locked: {failure.strerror or failure}. Choose another --out.") from None
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)  # while it is held: a process that waits for it opens a new one
        lock.release()
