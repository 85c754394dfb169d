"""`make_leaderboard`: rank models and prediction files on one split, with ties."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ferlab.comparison.results import Difference, Entry, RankedRecipe
from ferlab.comparison.statistics import differences, rank, with_ties
from ferlab.data import Dataset, Split
from ferlab.data.copies import group_copies
from ferlab.emotions import Target
from ferlab.errors import FerlabError
from ferlab.evaluation.evaluate import PredictedSplit, predict_split
from ferlab.evaluation.metrics import check_libraries
from ferlab.evaluation.scoring import score_split
from ferlab.results import DatasetSummary, Interval

GROUP = "submission"
SCORED = "validation"  # the field of an entry that holds the metrics, for any ranked split


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One row of a leaderboard.

    Args:
        rank: rank by accuracy, counted from 1.
        name: name of the system.
        accuracy: top-1 accuracy, 0..1.
        interval: 95 % interval, over groups of copies.
        leak_free_accuracy: without images that have an identical copy among the training images; null if unknown.
        balanced_accuracy: mean recall of the classes, 0..1.
        macro_f1: mean F1 of the classes.
        log_loss: log loss in nats; null for a file without probabilities.
        learned: target that the model learned; null if unknown, or if it learned from other images.
        selected_on: splits that the model was selected on, if known.
        tied_with: systems whose accuracy is not significantly different.
    """

    rank: int
    name: str
    accuracy: float
    interval: Interval
    leak_free_accuracy: float | None
    balanced_accuracy: float
    macro_f1: float
    log_loss: float | None
    learned: Target | None = None
    selected_on: tuple[str, ...]
    tied_with: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Systems ranked on one split of a dataset.

    Args:
        dataset: the dataset.
        split: name of the split.
        images: number of its images.
        standings: rows, best first.
        differences: differences between all pairs of systems, with p-values after Holm's correction.
    """

    dataset: DatasetSummary
    split: str
    images: int
    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]


def make_leaderboard(
    systems: Sequence[str | Path], dataset: Dataset, split: str | Split = Split.VALIDATION
) -> Leaderboard:
    """Rank models and prediction files on one split.

    Args:
        systems: models or prediction files, as in `ferlab.evaluate`. They are named after their files.
        dataset: a dataset with images in that split.
        split: `train`, `validation` or `test`.

    Raises:
        DataError: if the split is empty, or a prediction file does not fit its images.
        FerlabError: if there are fewer than two systems, two of them have the same name, or one cannot be read.
    """
    check_libraries()
    split = Split.from_label(split) if isinstance(split, str) else split
    part = dataset.require(split)
    found = {name: predict_split(path, dataset, part, split) for name, path in _named(systems).items()}
    entries = {name: _entry(name, one, dataset, part, split) for name, one in found.items()}
    ranking = rank(list(entries.values()), SCORED)
    correct = {row.recipe: [found[row.recipe].probabilities.argmax(axis=1) == part.labels] for row in ranking}
    pairs = differences(correct, group_copies(part.images))
    return Leaderboard(
        dataset=dataset.summary(),
        split=split.label,
        images=len(part),
        standings=tuple(_standing(row, entries[row.recipe], found[row.recipe]) for row in with_ties(ranking, pairs)),
        differences=tuple(pairs),
    )


def _named(systems: Sequence[str | Path]) -> dict[str, str | Path]:
    """Name systems after their files."""
    named: dict[str, str | Path] = {}
    for system in systems:
        name = Path(system).name if Path(system).is_dir() else Path(system).stem
        if name in named:
            raise FerlabError(f"{named[name]} and {system} are both called '{name}'. Rename one of them.")
        named[name] = system
    if len(named) < 2:
        raise FerlabError("A leaderboard needs two systems or more. Pass models or prediction files.")
    return named


def _entry(name: str, predicted: PredictedSplit, dataset: Dataset, part: Dataset, split: Split) -> Entry:
    """Score a system, in the form that the statistics of a comparison take."""
    origin = predicted.provenance
    metrics = score_split(part, split, predicted.probabilities, dataset, origin.fingerprints.get("train"))
    return Entry(
        recipe=name,
        group=GROUP,
        architecture="",
        seed=None,
        status="completed",
        selected_on=origin.selected_on or (),
        validation=metrics,
    )


def _standing(row: RankedRecipe, entry: Entry, predicted: PredictedSplit) -> Standing:
    metrics = entry.metrics(SCORED)
    assert metrics is not None
    return Standing(
        rank=row.rank,
        name=row.recipe,
        accuracy=row.accuracy,
        interval=row.interval,
        leak_free_accuracy=metrics.leak_free.accuracy if metrics.leak_free and not metrics.leak_free_reason else None,
        balanced_accuracy=metrics.balanced_accuracy,
        macro_f1=metrics.macro_f1,
        log_loss=metrics.log_loss if predicted.has_probabilities else None,
        learned=predicted.provenance.target,
        selected_on=row.selected_on,
        tied_with=row.tied_with,
    )
