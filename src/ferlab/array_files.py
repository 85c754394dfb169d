"""Write named arrays to `.npz` files, and read them back."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferlab.errors import reason_of
from ferlab.files import open_regular, write_atomically
from ferlab.zip_files import check_inflation, open_zip


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one `.npz` file, atomically.

    Raises:
        OutputError: if the file cannot be written.
    """
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an `.npz` file; pickled objects are rejected.

    Raises:
        ValueError: with the reason, if it cannot be read, or inflates far beyond its size.
    """
    try:
        with open_regular(path) as file:
            with open_zip(file) as archive:
                check_inflation(archive, os.fstat(file.fileno()).st_size)
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                if damaged := stored.zip.testzip():  # an array that states fewer values is not read to its checksum
                    raise ValueError(f"{damaged} does not match its checksum")
                arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # on damaged files, NumPy and zipfile raise many kinds
        raise ValueError(reason_of(error)) from None
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{others[0]} is not an array")
    return arrays
