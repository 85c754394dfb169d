"""Write files atomically, so that an interrupted program never leaves a partial file."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ferlab.errors import OutputError


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file atomically: write a temporary file in the same folder, then rename it.

    Args:
        path: the file. Its folder is created if it is missing.
        write: called with the open temporary file.

    Raises:
        OutputError: if the disk is full or the folder is not writable. An existing file is not changed.
    """
    temporary = None
    make_folder(path.parent)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Free some disk space or choose another location."
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


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
