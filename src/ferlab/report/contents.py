"""The contents of a report in any format, gathered from `comparison.json` and the run folders that it lists."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ferlab.comparison.results import Comparison, Entry, RankedRecipe, read_comparison
from ferlab.report import charts, figures
from ferlab.report.commands import train_command
from ferlab.report.examples import Example, confident_mistake_examples, random_image_examples
from ferlab.report.figures import Figure
from ferlab.results import Environment, Epoch
from ferlab.runs import RunFolder

MARK = "†"  # on the names of recipes that were selected on the test split


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the ranking, with its first entry and the mean macro F1 over seeds."""

    ranked: RankedRecipe
    entry: Entry
    macro_f1: float

    @property
    def selected_on_test(self) -> bool:
        """Whether the model was selected on the test split."""
        return "test" in self.ranked.selected_on


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: its entry, its history, and how to reproduce it."""

    entry: Entry
    history: tuple[Epoch, ...]
    environment: Environment | None
    command: str | None

    @property
    def name(self) -> str:
        """Recipe and seed, as a title."""
        return f"{self.entry.recipe}, seed {self.entry.seed}"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that a report shows.

    Examples and mistakes are empty if images are left out, or no run has predictions.
    """

    comparison: Comparison
    rows: list[Row]
    runs: list[Run]
    colors: dict[str, str]
    overview: list[Figure]
    trade_offs: list[Figure]
    curves: dict[str, list[Figure]]
    class_scores: Figure
    confusions: list[Figure]
    calibration: list[Figure]
    explanations: list[Figure]
    examples: list[Example]
    mistakes: dict[str, list[Example]]


def gather(folder: Path, images: bool = True) -> Contents:
    """Read a comparison and its runs.

    Args:
        folder: folder of the comparison.
        images: include images of the dataset. FER2013's terms forbid publishing them.

    Raises:
        RunError: if there is no comparison.
    """
    comparison = _marked(read_comparison(folder))
    runs = [_run(entry, folder) for entry in comparison.entries if entry.run]
    ranked_on = comparison.ranked_on
    first_runs = {run.entry.recipe: run for run in reversed(runs) if run.entry.metrics(ranked_on)}
    ranked = [row.recipe for row in comparison.ranking if row.recipe in first_runs]
    order = list(dict.fromkeys([*ranked, *(run.entry.recipe for run in runs if run.history)]))
    folders = {recipe: RunFolder(folder / (first_runs[recipe].entry.run or "")) for recipe in ranked}
    predictions = {recipe: run.require_predictions(ranked_on) for recipe, run in folders.items()}
    maps = {recipe: run.explanations() for recipe, run in folders.items()}
    class_names = comparison.dataset.class_names
    return Contents(
        comparison=comparison,
        rows=[_row(row, comparison) for row in comparison.ranking],
        runs=runs,
        colors=charts.colors(order),
        overview=figures.validation_curves([(run.entry, run.history) for run in runs], order),
        trade_offs=figures.trade_offs(comparison),
        curves={run.name: figures.learning_curves(run.entry, run.history) for run in runs if run.history},
        class_scores=figures.class_scores(comparison),
        confusions=figures.confusion_matrices(comparison),
        calibration=figures.calibration(predictions, ranked_on),
        explanations=figures.class_maps({name: one for name, one in maps.items() if one}, class_names),
        examples=random_image_examples(predictions, class_names) if images else [],
        mistakes=confident_mistake_examples(predictions, class_names) if images else {},
    )


def _marked(comparison: Comparison) -> Comparison:
    """Mark the names of recipes that were selected on the test split, wherever they are shown."""
    flagged = {row.recipe for row in comparison.ranking if "test" in row.selected_on}

    def marked(name: str) -> str:
        return f"{name}{MARK}" if name in flagged else name

    def marked_row(row: RankedRecipe) -> RankedRecipe:
        return replace(row, recipe=marked(row.recipe), tied_with=tuple(map(marked, row.tied_with)))

    return replace(
        comparison,
        entries=tuple(replace(entry, recipe=marked(entry.recipe)) for entry in comparison.entries),
        ranking=tuple(map(marked_row, comparison.ranking)),
        differences=tuple(
            replace(pair, first=marked(pair.first), second=marked(pair.second)) for pair in comparison.differences
        ),
    )


def _row(ranked: RankedRecipe, comparison: Comparison) -> Row:
    entries = comparison.scored(ranked.recipe)
    scores = [metrics.macro_f1 for entry in entries if (metrics := entry.metrics(comparison.ranked_on))]
    return Row(ranked=ranked, entry=entries[0], macro_f1=float(np.mean(scores)))


def _run(entry: Entry, folder: Path) -> Run:
    run = RunFolder(folder / (entry.run or ""))
    known = run.exists()
    return Run(
        entry=entry,
        history=run.history(),
        environment=run.environment() if known else None,
        command=train_command(run) if known else None,
    )
