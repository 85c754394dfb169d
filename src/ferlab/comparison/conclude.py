"""Turn the runs of a comparison into entries, and rank and write them."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ferlab.comparison.findings import findings, summarize
from ferlab.comparison.results import Comparison, Entry, RankedRecipe
from ferlab.comparison.statistics import differences, rank, with_ties
from ferlab.errors import RunError
from ferlab.files import write_text
from ferlab.json_files import write_result
from ferlab.recipes import Recipe
from ferlab.recipes.model_stats import image_passes
from ferlab.results import DatasetSummary, Result, SplitName
from ferlab.runs import RunFolder

CSV_COLUMNS = (
    "recipe", "group", "architecture", "seed", "status", "parameters", "trainable_parameters", "multiply_adds",
    "epochs", "seconds_per_epoch",
)  # fmt: skip


def entry_of(recipe: Recipe, seed: int, num_images: int, run: RunFolder, out: Path, reason: str | None) -> Entry:
    """Make the entry of a run.

    Args:
        recipe: its recipe, under the name that it has in the comparison.
        seed: its seed.
        num_images: number of training images.
        run: its folder, which may be incomplete or damaged.
        out: folder of the comparison.
        reason: why it failed; None if its result tells how it ended.
    """
    try:
        result = run.result() or Result(status="interrupted", recipe=recipe.name, seed=seed)
    except RunError as error:
        result = Result(status="failed", reason=str(error), recipe=recipe.name, seed=seed)
    status = "failed" if reason else result.status
    finished = status in ("completed", "stopped early")
    return Entry(
        recipe=recipe.name,
        group=recipe.group,
        architecture=recipe.architecture,
        seed=seed,
        status=status,
        reason=reason or result.reason or _stop_reason(recipe, status),
        run=Path(os.path.relpath(run.path.resolve(), out.resolve())).as_posix(),
        parameters=result.parameters,
        trainable_parameters=result.trainable_parameters,
        multiply_adds=result.multiply_adds,
        epochs=result.epochs,
        image_passes=image_passes(replace(recipe, epochs=result.epochs or recipe.epochs), num_images),
        seconds_per_epoch=result.seconds_per_epoch,
        seconds=result.seconds,
        selected_on=result.selected_on,
        validation=result.validation if finished else None,
        test=result.test if finished else None,
        trained_on=run.fingerprints()["train"] if run.exists() else None,
        learned_from=(*([recipe.start] if recipe.start else []), *recipe.teachers),
        deviations=recipe.deviations,
    )


def _stop_reason(recipe: Recipe, status: str) -> str | None:
    stopping = recipe.early_stopping
    if status != "stopped early":
        return None
    return f"{stopping.monitor} had not improved for {stopping.patience} of {recipe.epochs} planned epochs"


def conclude(entries: Sequence[Entry], data: DatasetSummary, ranked_on: SplitName, out: Path) -> Comparison:
    """Rank the entries, and write the comparison."""
    ranking = rank(entries, ranked_on)
    pairs = differences(*_correct(entries, ranking, ranked_on, out))
    comparison = Comparison(
        dataset=data,
        ranked_on=ranked_on,
        entries=tuple(entries),
        ranking=tuple(with_ties(ranking, pairs)),
        differences=tuple(pairs),
    )
    histories = {entry.run: RunFolder(out / entry.run).history() for entry in entries if entry.run}
    found, sentences = findings(comparison, histories), summarize(comparison)
    comparison = replace(comparison, findings=tuple(found), summary=tuple(sentences))
    write_result(out / "comparison.json", comparison)
    _write_csv(out / "comparison.csv", entries)
    return comparison


def _correct(
    entries: Sequence[Entry], ranking: Sequence[RankedRecipe], split: str, out: Path
) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Find which images each seed predicts correctly, by recipe, best first; and the images' groups of copies."""
    predictions = {
        row.recipe: [
            RunFolder(out / entry.run).require_predictions(split)
            for entry in entries
            if entry.recipe == row.recipe and entry.run and entry.metrics(split)
        ]
        for row in ranking
        if not row.is_baseline
    }
    correct = {recipe: [one.correct[one.order] for one in runs] for recipe, runs in predictions.items()}
    first = next((runs[0] for runs in predictions.values()), None)
    return correct, np.empty(0, np.int64) if first is None else first.copies[first.order]


def _write_csv(path: Path, entries: Sequence[Entry]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, "selected_on", "validation_accuracy", "test_accuracy", "deviations", "reason"])
    for entry in entries:
        values = ["" if (value := getattr(entry, column)) is None else value for column in CSV_COLUMNS]
        scores = [metrics.accuracy if metrics else "" for metrics in (entry.validation, entry.test)]
        selected_on, deviations = "; ".join(entry.selected_on), "; ".join(entry.deviations)
        writer.writerow([*values, selected_on, *scores, deviations, entry.reason or ""])
    write_text(path, text.getvalue())
