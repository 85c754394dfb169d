"""Cache decoded datasets in the user's cache folder, so that loading one again takes less than a second."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs

from ferlab.data.dataset import Dataset, Skipped
from ferlab.images.listing import walk

FORMAT = 5  # part of the key: increase it when the stored content changes
ARRAYS = ("images", "labels", "splits", "names")


def cache_folder() -> Path:
    """Return the folder of the cached datasets."""
    return platformdirs.user_cache_path("ferlab") / "datasets"


def key_of(path: Path, *, skip_bad: bool, crop: str) -> str:
    """Compute a cache key from the reading options and the path, size and modification time of every image.

    Args:
        path: the data source.
        skip_bad: whether bad items are skipped.
        crop: what the crops depend on besides the files; see `ferlab.data.faces.Cropper`.
    """
    digest = hashlib.sha256(os.fsencode(f"{FORMAT} {path.resolve()} {skip_bad} {crop}"))
    for line in _statuses(path):
        digest.update(os.fsencode(line + "\n"))
    return digest.hexdigest()[:32]


def _statuses(path: Path) -> Iterator[str]:
    if path.is_file():
        yield _status(path)
        return
    for folder in walk(path):
        yield f"{folder.path} {folder.problems}"
        yield from map(_status, folder.images)


def _status(file: Path) -> str:
    status = file.stat()
    return f"{file} {status.st_size} {status.st_mtime_ns}"


def read(key: str, source: str) -> Dataset | None:
    """Read a cached dataset; None if there is none or it is damaged."""
    try:
        with open(cache_folder() / f"{key}.npz", "rb") as file, np.load(file, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            arrays = {name: stored[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    skipped = tuple(Skipped(**item) for item in meta["skipped"])
    class_names, notes = tuple(meta["class_names"]), tuple(meta["notes"])
    return Dataset(**arrays, class_names=class_names, source=source, skipped=skipped, notes=notes)


def write(key: str, dataset: Dataset) -> None:
    """Write a dataset to the cache, atomically, so that other processes never read a partial file.

    If the cache folder is not writable, nothing is cached and the data is decoded again next time.
    """
    skipped = [vars(item) for item in dataset.skipped]
    meta = {"class_names": dataset.class_names, "skipped": skipped, "notes": dataset.notes}
    arrays = {name: getattr(dataset, name) for name in ARRAYS}
    temporary = None
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache_folder(), suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
        temporary.replace(cache_folder() / f"{key}.npz")
    except OSError:
        if temporary:
            temporary.unlink(missing_ok=True)
