"""`write_leaderboard`: a leaderboard as HTML, Markdown and JSON. `render_leaderboard`: its chart."""

from pathlib import Path

from ferlab.comparison.leaderboard import Leaderboard
from ferlab.files import write_text
from ferlab.json_files import write_result
from ferlab.report import html
from ferlab.report.report import TEMPLATES, escape_markdown
from ferlab.report.svg import render_chart

CHART = "leaderboard.svg"


def write_leaderboard(leaderboard: Leaderboard, folder: str | Path) -> Path:
    """Write `leaderboard.html`, `leaderboard.md`, `leaderboard.svg` and `leaderboard.json`.

    Args:
        leaderboard: the result of `ferlab.comparison.leaderboard.make_leaderboard`.
        folder: output folder; created if it is missing.

    Returns:
        The HTML file.

    Raises:
        OutputError: if a file cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    folder = Path(folder)
    chart = render_leaderboard(leaderboard)
    templates = html.environment(TEMPLATES)
    page = templates.get_template("leaderboard.html.jinja").render(board=leaderboard, chart=chart)
    markdown = templates.overlay(finalize=escape_markdown).get_template("leaderboard.md.jinja")
    text = markdown.render(board=leaderboard, chart=CHART)
    write_result(folder / "leaderboard.json", leaderboard)
    for name, content in ((CHART, chart), ("leaderboard.md", text), ("leaderboard.html", page)):
        write_text(folder / name, content)
    return folder / "leaderboard.html"


def render_leaderboard(leaderboard: Leaderboard) -> str:
    """Render the accuracies of a leaderboard with their intervals as SVG.

    Raises:
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    rows = [
        {
            "system": one.name,
            "accuracy": 100 * one.accuracy,
            "low": 100 * one.interval[0],
            "high": 100 * one.interval[1],
        }
        for one in leaderboard.standings
    ]
    description = f"Accuracy of {len(rows)} systems on {leaderboard.split} images, with 95 % intervals"
    return render_chart(lambda charts: charts.ranked_intervals(rows), description, width=640)
