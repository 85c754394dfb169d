"""The typed contents of `comparison.json`: entries, ranking and differences."""

from dataclasses import dataclass
from pathlib import Path

from ferlab.errors import RunError
from ferlab.json_files import parse, read_json
from ferlab.recipes.registry import BASELINE
from ferlab.results import DatasetSummary, Interval, SplitMetrics, SplitName, Status


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run, or one baseline.

    Args:
        recipe: name of the recipe.
        group: group of the recipe, or `baseline`.
        architecture: name of the architecture.
        seed: seed of the run; null for a baseline.
        status: how the run ended.
        reason: why it failed or stopped early.
        run: path of the run folder, relative to the comparison.
        parameters: number of parameters.
        trainable_parameters: number of trainable parameters.
        multiply_adds: multiply-adds of one forward pass for one image.
        epochs: number of completed epochs.
        image_passes: number of training images processed, repetitions included.
        seconds_per_epoch: median time of an epoch.
        seconds: total training time.
        selected_on: splits that the best epoch was selected on.
        validation: metrics on the validation split.
        test: metrics on the test split.
        trained_on: fingerprint of the training images.
        learned_from: networks that it started from or that taught it, as paths.
        deviations: how the recipe deviates from good practice.
    """

    recipe: str
    group: str
    architecture: str
    seed: int | None
    status: Status
    reason: str | None = None
    run: str | None = None
    parameters: int | None = None
    trainable_parameters: int | None = None
    multiply_adds: int | None = None
    epochs: int | None = None
    image_passes: int | None = None
    seconds_per_epoch: float | None = None
    seconds: float | None = None
    selected_on: tuple[str, ...] = ()
    validation: SplitMetrics | None = None
    test: SplitMetrics | None = None
    trained_on: str | None = None
    learned_from: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Recipe and seed, for sentences; a baseline has no seed."""
        return self.recipe if self.seed is None else f"{self.recipe} (seed {self.seed})"

    def metrics(self, split: str) -> SplitMetrics | None:
        """Return the metrics on the validation or test split."""
        return self.validation if split == "validation" else self.test


@dataclass(frozen=True, kw_only=True)
class RankedRecipe:
    """One row of a ranking.

    Args:
        rank: counted from 1.
        recipe: name of the recipe.
        group: group of the recipe, or `baseline`.
        seeds: number of runs.
        accuracy: mean over seeds, 0..1.
        spread: standard deviation over seeds; null for one seed.
        interval: 95 % interval of the mean accuracy, over images.
        seed_interval: 95 % interval over seeds, by Student's t; null for one seed.
        selected_on: splits that the best epochs were selected on.
        tied_with: recipes whose accuracy is not significantly different.
    """

    rank: int
    recipe: str
    group: str
    seeds: int
    accuracy: float
    spread: float | None
    interval: Interval
    seed_interval: Interval | None
    selected_on: tuple[str, ...]
    tied_with: tuple[str, ...] = ()

    @property
    def is_baseline(self) -> bool:
        """Whether this is not a network."""
        return self.group == BASELINE


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference in mean accuracy between two recipes on the same images.

    Args:
        first: a recipe.
        second: another recipe.
        difference: accuracy of the first minus that of the second.
        interval: 95 % interval of the difference.
        seeds: whether the interval includes the variance between seeds, which requires several seeds of both.
        p_value: probability of a difference of at least this size between equally accurate recipes.
        holm_p_value: the p-value, corrected for the number of pairs by Holm's method.
        significant: whether the corrected p-value is below 0.05.
    """

    first: str
    second: str
    difference: float
    interval: Interval
    seeds: bool
    p_value: float
    holm_p_value: float = 1.0
    significant: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs of several recipes on one dataset.

    Args:
        dataset: the data that they were trained and scored on.
        ranked_on: the split that ranks them.
        entries: runs and baselines.
        ranking: best first.
        differences: differences between all pairs of recipes.
        summary: the comparison in five sentences.
        findings: sentences derived from the numbers.
    """

    dataset: DatasetSummary
    ranked_on: SplitName
    entries: tuple[Entry, ...]
    ranking: tuple[RankedRecipe, ...]
    differences: tuple[Difference, ...]
    summary: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def scored(self, recipe: str) -> list[Entry]:
        """Return the entries of a recipe that were scored on the ranked split."""
        return [entry for entry in self.entries if entry.recipe == recipe and entry.metrics(self.ranked_on)]

    def row(self, recipe: str) -> RankedRecipe | None:
        """Return the row of a recipe in the ranking."""
        return next((row for row in self.ranking if row.recipe == recipe), None)

    def difference(self, first: str, second: str) -> Difference:
        """Return the difference between two recipes, first minus second.

        Raises:
            KeyError: if one of them is a baseline, or was not scored.
        """
        for known in self.differences:
            if (known.first, known.second) == (first, second):
                return known
            if (known.first, known.second) == (second, first):
                return _reversed(known)
        raise KeyError((first, second))


def _reversed(known: Difference) -> Difference:
    low, high = known.interval
    values = {**vars(known), "first": known.second, "second": known.first}
    return Difference(**values | {"difference": -known.difference, "interval": (-high, -low)})


def read_comparison(folder: Path) -> Comparison:
    """Read the comparison in a folder.

    Raises:
        RunError: if there is none, or it is damaged, or of schema 1.
    """
    path = folder / "comparison.json"
    values = read_json(path)
    if values["schema"] == 1:
        raise RunError(
            f"{path} was written by an earlier version of ferlab. Compare its runs again: "
            f"`ferlab report {folder}/runs/* --out {folder}`."
        )
    return parse(Comparison, values, path)
