"""Writing files so that none is ever half there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ferlab.errors import OutputError


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file by way of a temporary one in the same folder.

    Args:
        path: the file; its folder is made where it is missing.
        write: is handed the open temporary file.

    Raises:
        OutputError: if the disk is full or the folder cannot be written to; the old file, if any, is untouched.
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
            f"{path} cannot be written: {error.strerror or error}. Free space, or choose another --out."
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, where they are missing.

    Raises:
        OutputError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be made: {error.strerror or error}. Choose another --out.") from error
