"""Generate the parts of the documentation that come from code and from measured results.

    python docs/generate.py            write them
    python docs/generate.py --check    fail if a document is stale

A page asks for a block of `blocks.BLOCKS` by its name. This script replaces what stands between the two lines:

    <!-- twins: begin -->
    <!-- twins: end -->
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import typer
from blocks import BLOCKS
from blocks.common import table
from blocks.leaderboard import measured_leaderboard, measured_systems
from blocks.model_card import measured_robustness
from blocks.study import complete_publication, recipe_names

from ferlab.cli import app
from ferlab.evaluation.robustness import write_sheet
from ferlab.predict.packaged import NETWORKS
from ferlab.recipes import get_recipe
from ferlab.recipes.model_stats import FILE as MODEL_STATS
from ferlab.recipes.model_stats import count_model_stats
from ferlab.report import charts, render_leaderboard, render_robustness

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # some pages come from the test cases
MARKED = re.compile(r"(<!-- (\S+): begin -->\n).*?(<!-- \2: end -->)", re.DOTALL)


def cli_page() -> str:
    """The command line reference, from the commands themselves."""
    lines = ["# Command line", "", "Generated from the commands by `make docs`.", ""]
    for name, command in _commands(typer.main.get_command(app), "ferlab"):
        lines += [f"## `{name}`", "", *_help_lines(command.help or ""), ""]
        options = [_option_row(parameter) for parameter in command.params if parameter.name != "help"]
        lines += [table(["option", "meaning", "default"], options)] if options else []
    return "\n".join(lines)


def _commands(group: Any, prefix: str) -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        found += _commands(command, path) if hasattr(command, "commands") else [(path, command)]
    return found


def _help_lines(text: str) -> list[str]:
    """The lines of a command's help, with each example in a code block."""
    lines = [line.strip() for line in text.splitlines()]
    return [f"```bash\n{line}\n```" if line.startswith("ferlab ") else line for line in lines]


def _option_row(parameter: Any) -> list[str]:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{(parameter.metavar or parameter.name.upper()).replace('|', '/')}`"
    default = parameter.default if isinstance(parameter.default, str | int | Path) else None
    shown = "" if default is None or isinstance(default, bool) else f"`{default}`"
    return [names, (parameter.help or "").replace("|", "/"), "required" if parameter.required else shown]


def data_errors_page() -> str:
    """Generate the data error reference from the test cases."""
    from tests.data.error_cases import page

    return page()


def supported_inputs_page() -> str:
    """Generate the page of supported inputs from the test cases."""
    from tests.inputs.page import page

    return page()


def filled(path: Path) -> str:
    """A page, with every generated block in it up to date."""

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in BLOCKS:
            sys.exit(f"{path.name}: unknown block '{name}'. Available: {', '.join(BLOCKS)}.")
        return f"{begin}{BLOCKS[name]()}{end}"

    return MARKED.sub(fill, path.read_text(encoding="utf-8"))


def write_learning_curves() -> None:
    """Plot the validation accuracy of every run of the latest comparison over its epochs."""
    values = [
        {"recipe": recipe, "seed": seed, "epoch": epoch.epoch, "accuracy": 100 * epoch.val_accuracy}
        for run, history in complete_publication().histories.items()
        for recipe, seed in [run.rsplit("-seed", 1)]
        for epoch in history
    ]
    recipes = list(dict.fromkeys(value["recipe"] for value in values))
    chart = charts.overlaid_curves(values, "accuracy", recipes)
    spec = charts.specification(chart, "Validation accuracy on FER2013 over epochs, by recipe")
    (ROOT / "docs" / "learning-curves.svg").write_text(charts.render_svg(spec, width=760), encoding="utf-8")


def write_leaderboard_chart() -> None:
    """Plot the accuracies of the leaderboard."""
    chart = render_leaderboard(measured_leaderboard())
    (ROOT / "docs" / "leaderboard.svg").write_text(chart, encoding="utf-8")


def write_answer_chart() -> None:
    """Plot accuracy on PublicTest against multiply-adds of every measured system."""
    values = [
        {
            "recipe": system.name,
            "accuracy": 100 * system.accuracy,
            "low": 100 * system.interval[0],
            "high": 100 * system.interval[1],
            "multiply_adds": system.multiply_adds,
        }
        for system in measured_systems()
    ]
    chart = charts.accuracy_against(values, "multiply_adds", "multiply-adds per image")
    spec = charts.specification(chart, "Accuracy on PublicTest against multiply-adds per image, with 95 % intervals")
    (ROOT / "docs" / "accuracy-by-cost.svg").write_text(charts.render_svg(spec, width=640), encoding="utf-8")


def write_robustness_images() -> None:
    """Plot the robustness of each network in the package, and write the contact sheet of the corruptions."""
    for card in NETWORKS:
        plot = render_robustness(measured_robustness(card))
        (ROOT / "docs" / "models" / f"{card.name}-robustness.svg").write_text(plot, encoding="utf-8")
    write_sheet(ROOT / "docs" / "how-to" / "robustness.png")


def write_model_stats() -> None:
    """Count the parameters and multiply-adds of every recipe."""
    counted = {name: vars(count_model_stats(get_recipe(name))) for name in recipe_names()}
    MODEL_STATS.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write or check every generated document."""
    checking = "--check" in sys.argv[1:]
    if not checking:
        write_model_stats()  # first: the pages show them
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
    documents = {page: filled(page) for page in pages} | {ROOT / "docs" / "cli.md": cli_page()}
    documents[ROOT / "docs" / "data-errors.md"] = data_errors_page()
    documents[ROOT / "docs" / "supported-inputs.md"] = supported_inputs_page()
    stale = [path for path, text in documents.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if checking:
        if stale:
            sys.exit(f"Stale documents: {', '.join(str(path.relative_to(ROOT)) for path in stale)}. Run `make docs`.")
        return
    write_learning_curves()
    write_leaderboard_chart()
    write_answer_chart()
    write_robustness_images()
    for path in stale:
        path.write_text(documents[path], encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
