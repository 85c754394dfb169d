"""The report of a comparison: one HTML file that needs nothing else."""

from html import escape
from pathlib import Path
from typing import Any

from ferlab.errors import MissingExtraError
from ferlab.report.plots import learning_curves
from ferlab.runs import RunFolder, read_json, write_atomically

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_report(folder: Path) -> Path:
    """Writes `report.html` from `comparison.json` and the run folders that it names.

    Args:
        folder: of a comparison.

    Returns:
        The file.

    Raises:
        RunError: if there is no comparison.
    """
    try:
        import jinja2
    except ModuleNotFoundError:
        raise MissingExtraError("evaluate", "jinja2") from None
    comparison = read_json(folder / "comparison.json")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "count": _count}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        comparison=comparison,
        rows=[_row(row, comparison) for row in comparison["ranking"]],
        runs=[_run(entry, folder) for entry in comparison["entries"] if entry["run"]],
    )
    write_atomically(folder / "report.html", lambda file: file.write(page.encode()))
    return folder / "report.html"


def _row(row: dict[str, Any], comparison: dict[str, Any]) -> dict[str, Any]:
    """A line of the ranking, with what the entries know about its model."""
    entry = next(entry for entry in comparison["entries"] if entry["recipe"] == row["recipe"])
    flagged = "test" in (row["selected_on"] or "").split("+")
    return {**entry, **row, "macro_f1": entry[comparison["ranked_on"]]["macro_f1"], "selected_on_test": flagged}


def _run(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the report shows of one run: its curves, and how it can be repeated."""
    run = RunFolder(folder / entry["run"])
    history = run.history()
    curves = learning_curves(escape(f"{entry['recipe']}, seed {entry['seed']}"), history) if history else ""
    environment = run.environment() if run.exists() else {}
    return {**entry, "curves": curves, "environment": environment}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def _count(number: float | None) -> str:
    """A large number as people write it: 4.48 M, 290 M, 39 k."""
    if number is None:
        return "–"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"
