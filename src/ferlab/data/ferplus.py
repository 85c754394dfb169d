"""Votes of FER+: ten annotators labeled each image of FER2013 (https://arxiv.org/abs/1608.01041).

`fer2013new.csv` (https://github.com/microsoft/FERPlus) has one row for each row of `fer2013.csv`. The rows of images in
the Kaggle layout are found with an index of file names that ships with the package.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from ferlab.csv_files import read_table
from ferlab.data.dataset import Dataset, Split
from ferlab.data.fer2013 import NUM_IMAGES, SPLIT_SIZES, USAGES
from ferlab.emotions import FERPLUS
from ferlab.errors import DataError

VOTES = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
VOTE_COUNTS = {str(count): count for count in range(11)}  # of ten annotators
MIN_CHECKED = 500  # smallest number of images for which the agreement of votes and labels is checked
MIN_AGREEMENT = 0.35  # of votes and labels, mean over classes: 0.59 for FER2013, 0.15 if the votes are shuffled
INDEX = Path(__file__).with_name("kaggle_rows.npz")

# Two file names occur in two class folders each.
DUPLICATE_NAMES = {
    "neutral/Training_52789098": 15_838,
    "surprise/Training_52789098": 2_164,
    "angry/Training_8475486": 24_067,
    "surprise/Training_8475486": 27_820,
}


def with_votes(dataset: Dataset, path: str | Path) -> Dataset:
    """Join the votes of FER+ to images of FER2013.

    Args:
        dataset: FER2013, or a part of it, in any layout.
        path: `fer2013new.csv`.

    Returns:
        The dataset with `votes` `(N, 10)`, in the order of `VOTES`.

    Raises:
        DataError: if the file has another format, an image is not from FER2013, or the votes belong to other images.
            (Rows of a table are identified only by their position.)
    """
    votes = read_votes(Path(path))
    rows = np.array([_row_of(str(name), dataset.source) for name in dataset.names], np.int64)
    bounds = np.cumsum(list(SPLIT_SIZES.values()))
    wrong = np.flatnonzero(np.searchsorted(bounds, rows, side="right") != dataset.splits)
    if len(wrong):
        name, split = dataset.names[wrong[0]], Split(dataset.splits[wrong[0]]).label
        raise DataError(f"{dataset.source}: {name} is in {split}, but row {rows[wrong[0]]} of FER2013 is not.")
    joined = replace(dataset, votes=votes[rows])
    checkable = len(joined) >= MIN_CHECKED and all(joined.class_counts().values())
    if checkable and _agreement(joined) < MIN_AGREEMENT:
        raise DataError(
            f"The votes in {path} do not match the labels of {dataset.source}: its rows are not in the order of "
            "fer2013.csv. Pass the complete table or the Kaggle folder, and remove images with --exclude."
        )
    return joined


def votes_for_classes(votes: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """Select the votes for the classes of FER2013, in their order: `(N, 10)` to `(N, K)`."""
    return votes[:, [VOTES.index(FERPLUS[name]) for name in class_names]]


def _agreement(dataset: Dataset) -> float:
    """Compute the share of images whose label has the most votes, ties included, as the mean over classes."""
    assert dataset.votes is not None
    chosen = votes_for_classes(dataset.votes, dataset.class_names)[np.arange(len(dataset)), dataset.labels]
    agrees = chosen == dataset.votes.max(axis=1)
    return float(np.mean([agrees[dataset.labels == label].mean() for label in np.unique(dataset.labels)]))


def read_votes(path: Path) -> np.ndarray:
    """Read `fer2013new.csv`.

    Returns:
        The votes, `(35887, 10)` uint8, in the order of `VOTES`.

    Raises:
        DataError: if the file is missing or has another format.
    """
    try:
        columns, rows = read_table(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a table of votes: {error}.") from None
    missing = [name for name in VOTES if name not in columns]
    if missing or len(rows) != NUM_IMAGES:
        size = f"it has {len(rows):,} rows, expected {NUM_IMAGES:,}"
        reason = f"it has no column '{missing[0]}'" if missing else size
        raise DataError(
            f"{path} is not fer2013new.csv of FER+: {reason}. Download it from github.com/microsoft/FERPlus."
        )
    return np.array([_numbers(row, number, path) for number, row in enumerate(rows)], np.uint8)


def _numbers(row: dict[str, str], number: int, path: Path) -> list[int]:
    votes = [VOTE_COUNTS.get(row[name].strip(), -1) for name in VOTES]
    if min(votes) < 0:
        raise DataError(f"{path}, row {number} (line {number + 2}): votes must be 0 to 10. Download the file again.")
    return votes


def _row_of(name: str, source: str) -> int:
    """Find the row of `fer2013.csv` of an image by its name: `row 17`, or a path of the Kaggle layout."""
    path = PurePosixPath(name)
    row = DUPLICATE_NAMES.get(f"{path.parent.name.lower()}/{path.stem}", kaggle_rows().get(path.stem))
    if row is None and name.startswith("row ") and name[4:].isdecimal() and int(name[4:]) < NUM_IMAGES:
        row = int(name[4:])
    if row is None:
        raise DataError(
            f"{source}: '{name}' is not an image of FER2013, so FER+ has no votes for it. Remove --ferplus."
        )
    return row


@cache
def kaggle_rows() -> dict[str, int]:
    """Map file names of the Kaggle layout, without suffix, to rows of `fer2013.csv`.

    Names in `DUPLICATE_NAMES` map to one of their two rows.
    """
    with np.load(INDEX, allow_pickle=False) as stored:
        numbers = stored["numbers"].tolist()
    prefixes = (prefix for prefix, split in USAGES.items() for _ in range(SPLIT_SIZES[split]))
    return {f"{prefix}_{number}": row for row, (prefix, number) in enumerate(zip(prefixes, numbers, strict=True))}
