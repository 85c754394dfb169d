"""The votes of FER+: ten people a picture, ten answers (https://arxiv.org/abs/1608.01041).

`fer2013new.csv` (https://github.com/microsoft/FERPlus) has one row for each row of `fer2013.csv`. Pictures of the
Kaggle layout find their rows by an index of file names that the package holds.
"""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.data.dataset import Dataset, Split
from ferlab.emotions import FERPLUS
from ferlab.errors import DataError

VOTES = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
SPLIT_SIZES = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}  # in the order of the rows
NUM_ROWS = sum(SPLIT_SIZES.values())
ENOUGH = 500  # images from which it can be told whether votes are theirs
LEAST_AGREEMENT = 0.35  # of votes with labels, mean over classes: FER2013 has 0.59, and 0.15 where votes are shuffled
INDEX = Path(__file__).with_name("kaggle_rows.npz")

# Two file names occur in two class folders each.
TWICE = {
    "neutral/Training_52789098.jpg": 15_838,
    "surprise/Training_52789098.jpg": 2_164,
    "angry/Training_8475486.jpg": 24_067,
    "surprise/Training_8475486.jpg": 27_820,
}


def with_votes(dataset: Dataset, path: str | Path) -> Dataset:
    """Joins the votes of FER+ to images of FER2013.

    Args:
        dataset: FER2013, or a part of it, in any layout.
        path: `fer2013new.csv`.

    Returns:
        The data set with `votes` `(N, 10)`, in the order of `VOTES`.

    Raises:
        DataError: if the file is not of that form, an image of the data set is none of FER2013's, or the votes are not
            on these images: rows of a table are told by their place alone.
    """
    votes = read_votes(Path(path))
    rows = np.array([_row_of(str(name), dataset.source) for name in dataset.names], np.int64)
    bounds = np.cumsum(list(SPLIT_SIZES.values()))
    wrong = np.flatnonzero(np.searchsorted(bounds, rows, side="right") != dataset.splits)
    if len(wrong):
        name, split = dataset.names[wrong[0]], Split(dataset.splits[wrong[0]]).label
        raise DataError(f"{dataset.source}: {name} is in {split}, but row {rows[wrong[0]]} of FER2013 is not.")
    joined = replace(dataset, votes=votes[rows])
    telling = len(joined) >= ENOUGH and all(joined.class_counts().values())
    if telling and _agreement(joined) < LEAST_AGREEMENT:
        raise DataError(
            f"The votes in {path} do not fit the labels of {dataset.source}: its rows are not those of fer2013.csv, in "
            "the same places. Give the whole table as it was published, or the Kaggle folder, and leave images out by "
            "--exclude."
        )
    return joined


def _agreement(dataset: Dataset) -> float:
    """Mean, over classes, of the share of images whose label has as many votes as any other answer."""
    assert dataset.votes is not None
    columns = np.array([VOTES.index(FERPLUS[name]) for name in dataset.class_names])
    chosen = dataset.votes[np.arange(len(dataset)), columns[dataset.labels]]
    agrees = chosen == dataset.votes.max(axis=1)
    return float(np.mean([agrees[dataset.labels == label].mean() for label in np.unique(dataset.labels)]))


def read_votes(path: Path) -> np.ndarray:
    """Reads `fer2013new.csv`: `(35887, 10)` uint8, in the order of `VOTES`.

    Raises:
        DataError: if it is missing or of another form.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table of votes: {error}.") from None
    missing = [name for name in VOTES if not rows or name not in rows[0]]
    if missing or len(rows) != NUM_ROWS:
        size = f"it has {len(rows):,} rows, and FER2013 {NUM_ROWS:,}"
        reason = f"it has no column '{missing[0]}'" if missing else size
        raise DataError(f"{path} is not fer2013new.csv of FER+: {reason}. Fetch it from github.com/microsoft/FERPlus.")
    return np.array([_numbers(row, number, path) for number, row in enumerate(rows)], np.uint8)


def _numbers(row: dict[str, str], number: int, path: Path) -> list[int]:
    try:
        votes = [int(row[name]) for name in VOTES]
    except (TypeError, ValueError):
        votes = [-1]
    if not 0 <= min(votes) <= max(votes) <= 10:
        raise DataError(f"{path}, row {number} (line {number + 2}): votes must be 0 to 10. Fetch the file again.")
    return votes


def _row_of(name: str, source: str) -> int:
    """The row of `fer2013.csv` that an image comes from, by its name: `row 17`, or a path of the Kaggle layout."""
    path = PurePosixPath(name)
    row = TWICE.get(f"{path.parent.name}/{path.name}", kaggle_rows().get(path.stem))
    if row is None and name.startswith("row ") and name[4:].isdecimal() and int(name[4:]) < NUM_ROWS:
        row = int(name[4:])
    if row is None:
        raise DataError(f"{source}: '{name}' is no image of FER2013, so FER+ has no votes on it.")
    return row


@cache
def kaggle_rows() -> dict[str, int]:
    """Rows of `fer2013.csv` by the names of the Kaggle layout, without suffix; of those in `TWICE`, either one."""
    with np.load(INDEX, allow_pickle=False) as stored:
        numbers = stored["numbers"].tolist()
    prefixes = (prefix for prefix, size in SPLIT_SIZES.items() for _ in range(size))
    return {f"{prefix}_{number}": row for row, (prefix, number) in enumerate(zip(prefixes, numbers, strict=True))}
