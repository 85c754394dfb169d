"""`write_sweep`: the report of a sweep as one HTML page with four charts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferlab.files import write_text
from ferlab.report import html
from ferlab.report.commands import plugin_command
from ferlab.report.report import TEMPLATES
from ferlab.report.svg import render_chart
from ferlab.runs import RunFolder
from ferlab.search.results import BEST_RECIPE, Sweep

ACCURACY = "accuracy, %"  # the last axis of the parallel coordinates
BEST_CURVES = 5  # learning curves of so many trials are shown
WIDTH = 760  # pixels


def write_sweep(sweep: Sweep, folder: str | Path) -> Path:
    """Write `sweep.html`.

    Args:
        sweep: the result of `ferlab.sweep`.
        folder: folder of the sweep.

    Returns:
        The file.

    Raises:
        OutputError: if it cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    template = html.environment(TEMPLATES).get_template("sweep.html.jinja")
    path, ranked = Path(folder) / "sweep.html", sweep.ranked()
    run = RunFolder(Path(folder) / ranked[0].run) if ranked else None
    command = plugin_command(run, sweep.best_recipe, Path(folder) / BEST_RECIPE) if run and run.exists() else None
    write_text(path, template.render(sweep=sweep, ranked=ranked, command=command, charts=dict(_charts(sweep))))
    return path


def _charts(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """Draw the charts that the trials allow, by title."""
    history = list(_history(sweep))
    if history:
        description = f"validation accuracy of {len(history)} trials"
        yield (
            "Accuracy of each trial; the line is the best one so far",
            render_chart(lambda charts: charts.sweep_history(history), description, WIDTH),
        )
    if ranked := sweep.ranked():
        ends, values = _ends(sweep), list(_coordinates(sweep))
        yield (
            "Values and accuracy of the completed trials",
            render_chart(lambda charts: charts.parallel_coordinates(values, ends), "one line per trial", WIDTH),
        )
        names = [f"trial {trial.number}" for trial in ranked[:BEST_CURVES]]
        curves = [
            {"recipe": f"trial {trial.number}", "seed": sweep.seed, "epoch": epoch, "accuracy": 100 * accuracy}
            for trial in ranked[:BEST_CURVES]
            for epoch, accuracy in enumerate(trial.accuracies, start=1)
        ]
        yield (
            "Validation accuracy of the best trials over epochs",
            render_chart(lambda charts: charts.overlaid_curves(curves, "accuracy", names), ", ".join(names), WIDTH),
        )
    if sweep.importances:
        description = ", ".join(f"{field}: {share:.2f}" for field, share in sweep.importances.items())
        yield (
            "Importance of each field for the accuracy, by fANOVA over the completed trials",
            render_chart(lambda charts: charts.importances(sweep.importances), description, WIDTH),
        )


def _history(sweep: Sweep) -> Iterator[dict[str, Any]]:
    best: float | None = None
    for trial in sweep.trials:
        if trial.status in ("completed", "pruned") and trial.accuracies:
            accuracy = 100 * max(trial.accuracies)
            best = max(best or 0.0, accuracy) if trial.status == "completed" else best
            yield {"trial": trial.number, "status": trial.status, "accuracy": accuracy, "best": best}


def _ends(sweep: Sweep) -> dict[str, tuple[str, str]]:
    accuracies = [trial.accuracy or 0.0 for trial in sweep.ranked()]
    fields = {field: dimension.ends() for field, dimension in sweep.space.items()}
    return {**fields, ACCURACY: (f"{100 * min(accuracies):.1f}", f"{100 * max(accuracies):.1f}")}


def _coordinates(sweep: Sweep) -> Iterator[dict[str, Any]]:
    ranked = sweep.ranked()
    accuracies = [trial.accuracy or 0.0 for trial in ranked]
    worst, spread = min(accuracies), (max(accuracies) - min(accuracies)) or 1.0
    for trial, accuracy in zip(ranked, accuracies, strict=True):
        positions = {field: dimension.position(trial.changes[field]) for field, dimension in sweep.space.items()}
        for order, (field, position) in enumerate({**positions, ACCURACY: (accuracy - worst) / spread}.items()):
            row = {"trial": trial.number, "field": field, "position": position, "order": order}
            yield {**row, "accuracy": 100 * accuracy}
