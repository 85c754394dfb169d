"""Compare the output of a disturbed command with that of an undisturbed one, file by file."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.torture.outcomes import Outcome, Report

# Keys and columns that differ between equal runs: measured times, the commit of the checkout, a memory address that
# Keras stores, and the path of the output folder.
CHANGING = frozenset({"seconds", "seconds_per_epoch", "commit", "shared_object_id", "artifact"})
# Pages contain measured times in many forms; the database of a sweep, times and its own layout; locks, nothing.
UNCOMPARED = (".html", ".md", ".svg", ".db", ".lock")


def judge(found: Path, expected: Path) -> Report:
    """Compare all files of two folders: arrays and tables value by value, without measured times.

    Returns:
        LOST if a file is missing or cannot be read, WRONG if there is another difference, else SURVIVED.
    """
    names, wanted = _files(found), _files(expected)
    if missing := sorted(wanted - names):
        return Report(outcome=Outcome.LOST, note=f"missing: {', '.join(missing)}")
    if extra := sorted(names - wanted):
        return Report(outcome=Outcome.WRONG, note=f"left behind: {', '.join(extra)}")
    for name in sorted(wanted):
        try:
            same = _same(found / name, expected / name)
        except Exception as error:
            return Report(outcome=Outcome.LOST, note=f"{name} cannot be read: {error}")
        if not same:
            return Report(outcome=Outcome.WRONG, note=f"{name} differs")
    return Report(outcome=Outcome.SURVIVED)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _same(found: Path, expected: Path) -> bool:
    if found.suffix in UNCOMPARED:
        return (found.stat().st_size > 0) == (expected.stat().st_size > 0)
    read = READERS.get(found.suffix, Path.read_bytes)
    return _equal(read(found), read(expected))


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_equal(found[key], expected[key]) for key in expected)
    if isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")
    return bool(found == expected)


def _json(path: Path) -> Any:
    return _comparable(json.loads(path.read_text()))


def _json_lines(path: Path) -> Any:
    return [_comparable(json.loads(line)) for line in path.read_text().splitlines()]


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items() if key not in CHANGING}
    return [_comparable(item) for item in value] if isinstance(value, list) else value


def _csv(path: Path) -> list[list[str]]:
    import csv

    rows = list(csv.reader(path.read_text().splitlines()))
    kept = [index for index, name in enumerate(rows[0]) if name not in CHANGING]
    return [[row[index] for index in kept] for row in rows]


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if "meta" in arrays:
        arrays["meta"] = _comparable(json.loads(str(arrays["meta"])))
    return arrays


def _keras(path: Path) -> dict[str, Any]:
    """Read the weights and the configuration of a `.keras` file, without the date on which it was saved."""
    with zipfile.ZipFile(path) as archive:
        members: dict[str, Any] = {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}
    return members | {"config.json": _comparable(json.loads(members["config.json"]))}


def _onnx(path: Path) -> dict[str, Any]:
    """Read the metadata of an artifact, and predict on random images: tf2onnx orders the weights anew each time."""
    from ferlab.predict import Artifact

    artifact = Artifact(path)
    images = np.random.default_rng(0).integers(256, size=(32, 48, 48), dtype=np.uint8)
    metadata = {name: value for name, value in artifact.metadata.items() if name != "sha256"}
    return {**metadata, "probabilities": artifact.probabilities(images)}


def _parquet(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".npz": _arrays,
    ".keras": _keras,
    ".onnx": _onnx,
    ".parquet": _parquet,
}
