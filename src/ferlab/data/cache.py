"""Cache decoded datasets in the user's cache folder, so that loading one again takes less than a second."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs

from ferlab.array_files import read_arrays, write_arrays
from ferlab.data.dataset import IMAGE_SIZE, Dataset, Skipped, Split
from ferlab.emotions import Target
from ferlab.errors import OutputError
from ferlab.files import exists, remove_abandoned
from ferlab.images.listing import walk

FORMAT = 7  # part of the key: increase it when the stored content changes
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
    try:
        status = file.stat()
    except OSError as error:  # such as a file that was removed since its folder was listed
        return f"{file} {error.strerror}"
    return f"{file} {status.st_size} {status.st_mtime_ns}"


def read(key: str, source: str) -> Dataset | None:
    """Read a cached dataset; None if there is none, or if it is damaged, which is logged."""
    path = cache_folder() / f"{key}.npz"
    if not exists(path):
        return None
    try:
        return _dataset(read_arrays(path), source)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        logging.getLogger("ferlab").warning(
            "The cached copy of %s is damaged (%s: %s). The data is read again.", source, path, error
        )
        return None


def _dataset(arrays: Mapping[str, np.ndarray], source: str) -> Dataset:
    """Return the dataset in the arrays of a cached copy.

    Raises:
        Exception: of several kinds, if they are not those of a dataset.
    """
    meta = json.loads(str(arrays["meta"]))
    dataset = Dataset(
        images=arrays["images"],
        labels=arrays["labels"],
        splits=arrays["splits"],
        names=arrays["names"],
        class_names=tuple(map(str, meta["class_names"])),
        source=source,
        skipped=tuple(Skipped(**item) for item in meta["skipped"]),
        notes=tuple(map(str, meta["notes"])),
        target=Target(meta["target"]) if meta["target"] else None,
    )
    number = len(dataset.names)
    columns = (dataset.labels, dataset.splits, dataset.names)
    if dataset.images.shape != (number, IMAGE_SIZE, IMAGE_SIZE) or any(array.shape != (number,) for array in columns):
        raise ValueError("its arrays have other shapes")
    if [array.dtype.kind for array in (dataset.images, *columns)] != list("uiuU") or dataset.images.itemsize != 1:
        raise ValueError("its arrays have other types")
    known = np.isin(dataset.labels, range(len(dataset.class_names))) & np.isin(dataset.splits, list(Split))
    if not known.all():
        raise ValueError("its labels or splits have other values")
    return dataset


def write(key: str, dataset: Dataset) -> None:
    """Write a dataset to the cache, atomically, so that other processes never read a partial file.

    If the cache folder is not writable, nothing is cached and the data is decoded again next time.
    """
    skipped = [vars(item) for item in dataset.skipped]
    meta = {"class_names": dataset.class_names, "skipped": skipped, "notes": dataset.notes, "target": dataset.target}
    arrays = {name: getattr(dataset, name) for name in ARRAYS}
    remove_abandoned(cache_folder())
    with suppress(OutputError):
        write_arrays(cache_folder() / f"{key}.npz", {"meta": np.array(json.dumps(meta)), **arrays})
