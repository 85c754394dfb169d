"""Prediction files: write those of a model, and read those of any system, to score them.

A CSV file has a column `name` and either one column per class with its probability, or a column `class`. An `.npz` file
has the arrays `names` `(N,)`, `class_names` `(K,)` and `probabilities` `(N, K)`. Names are those of the dataset, or
their last parts, such as `PublicTest_10116449.jpg`.
"""

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.array_files import read_arrays
from ferlab.csv_files import TableWriter, guarded, read_table, unguarded
from ferlab.data import Dataset
from ferlab.errors import DataError
from ferlab.files import shown, write_atomically, write_text

SUFFIXES = (".csv", ".npz")
CLASS_COLUMNS = ("class", "emotion", "label")
NAME_COLUMNS = ("name", "source")  # `ferlab predict` writes `source`
SMALLEST_HALF = float(np.finfo(np.float16).smallest_subnormal)
SUM_TOLERANCE = 0.01  # of the probabilities of an image: enough for float16


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionFile:
    """Predictions for named images.

    Args:
        path: the file.
        names: `(N,)` str.
        probabilities: `(N, K)` float64, 0..1; if only classes are known, 1 for the predicted class.
        class_names: K names.
        has_probabilities: whether the file contains probabilities, not just classes.
    """

    path: Path
    names: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    has_probabilities: bool

    def aligned(self, part: Dataset) -> np.ndarray:
        """Return the probabilities `(N, K)` in the order of a dataset's images and classes.

        Predictions for images that the dataset omits are ignored.

        Raises:
            DataError: if the classes differ, or names are unknown, missing or not unique.
        """
        if self.has_probabilities and self.class_names != part.class_names:
            raise DataError(
                f"{self.path} has the classes {', '.join(self.class_names)}; {part.source} has "
                f"{', '.join(part.class_names)}. They must be the same, in the same order."
            )
        positions = _positions(self.path, self.names.tolist(), part)
        if self.has_probabilities:
            return self.probabilities[positions]
        columns = [_class_index(self.path, name, part.class_names) for name in self.class_names]
        aligned = np.zeros((len(part), len(part.class_names)))
        aligned[:, columns] = self.probabilities[positions]
        return aligned


def _class_index(path: Path, name: str, class_names: Sequence[str]) -> int:
    if name not in class_names:
        raise DataError(f"{path} predicts the unknown class '{name}'. The data has {', '.join(class_names)}.")
    return class_names.index(name)


def _positions(path: Path, names: list[str], part: Dataset) -> np.ndarray:
    """Find the position in the file of each image of a dataset."""
    wanted, omitted = part.names.astype(str).tolist(), set(part.omitted)
    short = _last_parts(wanted)
    if not set(names) & set(wanted) and len(set(short)) == len(short):
        wanted, names, omitted = short, _last_parts(names), set(_last_parts(omitted))
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path}: there are {count} predictions for the image '{name}'. Keep one of them.")
    if unknown := sorted(set(names) - set(wanted) - omitted):
        raise DataError(
            f"{path}: the image '{unknown[0]}' is not in this split of {part.source} ({len(unknown):,} names are "
            f"unknown). Its names look like '{wanted[0]}'. Name the split that was predicted with --split."
        )
    if missing := sorted(set(wanted) - set(names)):
        raise DataError(
            f"{path}: there is no prediction for the image '{missing[0]}' ({len(missing):,} of {len(wanted):,} are "
            "missing). Every image of the split needs one."
        )
    position = {name: index for index, name in enumerate(names)}
    return np.array([position[name] for name in wanted])


def _last_parts(names: Iterable[str]) -> list[str]:
    return [PurePosixPath(name).name for name in names]


def is_prediction_file(path: str | Path) -> bool:
    """Return whether a path has the suffix of a prediction file."""
    return Path(path).suffix.lower() in SUFFIXES


def require_prediction_file(path: str | Path) -> None:
    """Check the name of a prediction file that is to be written.

    Raises:
        DataError: if it has another suffix.
    """
    if not is_prediction_file(path):
        raise DataError(f"{path}: the file name must end in {' or '.join(SUFFIXES)}.")


def read_predictions(path: str | Path) -> PredictionFile:
    """Read a prediction file.

    Raises:
        DataError: with file, row and column, if it cannot be read or contains no predictions.
    """
    path = Path(path)
    found = _read_npz(path) if path.suffix.lower() == ".npz" else _read_csv(path)
    if not len(found.names):
        raise DataError(f"{path} contains no predictions.")
    _check_probabilities(found)
    return found


def _check_probabilities(found: PredictionFile) -> None:
    probabilities = found.probabilities
    bad = ~np.isfinite(probabilities).all(axis=1) | (probabilities < 0).any(axis=1) | (probabilities > 1).any(axis=1)
    if bad.any():
        raise DataError(
            f"{found.path}: the probabilities of '{found.names[bad.argmax()]}' are not all between 0 and 1. Pass "
            "probabilities, not logits or percentages."
        )
    sums = probabilities.sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        name, total = found.names[off.argmax()], sums[off.argmax()]
        raise DataError(f"{found.path}: the probabilities of '{name}' sum to {total:.3f} instead of 1.")


def _read_npz(path: Path) -> PredictionFile:
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as an .npz file: {error}.") from None
    if missing := {"names", "class_names", "probabilities"} - arrays.keys():
        raise DataError(f"{path} has no array '{min(missing)}'. It needs names, class_names and probabilities.")
    try:
        names, class_names = arrays["names"].astype(str), arrays["class_names"].astype(str)
        probabilities = arrays["probabilities"].astype(np.float64)
        if arrays["probabilities"].dtype == np.float16:  # which rounds smaller shares to 0, an infinite log loss
            probabilities = np.maximum(probabilities, SMALLEST_HALF)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: names and class_names must be text, and probabilities numbers: {error}.") from None
    if names.ndim != 1 or class_names.ndim != 1 or probabilities.shape != (names.size, class_names.size):
        raise DataError(
            f"{path}: probabilities have the shape {probabilities.shape}, and there are {names.size} names and "
            f"{class_names.size} classes. Expected (names, classes)."
        )
    return PredictionFile(
        path=path,
        names=names,
        probabilities=probabilities,
        class_names=tuple(class_names.tolist()),
        has_probabilities=True,
    )


def _read_csv(path: Path) -> PredictionFile:
    try:
        columns, rows = read_table(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a CSV file: {error}.") from None
    name_column = next((column for column in NAME_COLUMNS if column in columns), None)
    if name_column is None:
        raise DataError(f"{path} has no column 'name'. Its columns are: {', '.join(columns) or 'none'}.")
    names = np.array([unguarded(row[name_column]) for row in rows], np.str_)
    class_column = next((column for column in CLASS_COLUMNS if column in columns), None)
    if class_column:
        return _from_classes(path, names, [row[class_column] for row in rows])
    class_names = tuple(column for column in columns if column != name_column)
    probabilities = [_numbers(path, number, row, class_names) for number, row in enumerate(rows, start=2)]
    return PredictionFile(
        path=path,
        names=names,
        probabilities=np.array(probabilities).reshape(len(rows), len(class_names)),
        class_names=class_names,
        has_probabilities=True,
    )


def _from_classes(path: Path, names: np.ndarray, classes: list[str]) -> PredictionFile:
    if "" in classes:
        raise DataError(f"{path}, line {classes.index('') + 2}: the class is missing.")
    class_names = tuple(sorted(set(classes)))
    one_hot = np.eye(len(class_names))[[class_names.index(name) for name in classes]]
    return PredictionFile(
        path=path, names=names, probabilities=one_hot, class_names=class_names, has_probabilities=False
    )


def _numbers(path: Path, line: int, row: dict[str, str], columns: Iterable[str]) -> list[float]:
    numbers = []
    for column in columns:
        try:
            numbers.append(float(row[column].replace("_", "?")))  # Python takes 0_1 for 1
        except ValueError:
            cell = shown(row[column])
            raise DataError(f"{path}, line {line}, column {column}: '{cell}' is not a number.") from None
    return numbers


def write_predictions(
    path: str | Path, names: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> None:
    """Write predictions as `.npz` (float16) or `.csv`.

    Args:
        path: the file.
        names: `(N,)` str, names of the images.
        probabilities: `(N, K)`, 0..1.
        class_names: K names.

    Raises:
        DataError: if the file name has another suffix.
        OutputError: if the file cannot be written.
    """
    require_prediction_file(path)
    path = Path(path)
    if path.suffix.lower() == ".npz":
        write_atomically(
            path,
            lambda file: np.savez_compressed(
                file,
                names=names.astype(np.str_),
                class_names=np.array(class_names, np.str_),
                probabilities=probabilities.astype(np.float16),
            ),
        )
        return
    text = io.StringIO()
    writer = TableWriter(text)
    writer.write(["name", *class_names])
    for name, row in zip(names.tolist(), probabilities, strict=True):
        writer.write([guarded(name), *(f"{share:.6g}" for share in row)])
    write_text(path, text.getvalue())
