"""Writes what is generated: the CLI reference, the README's table and plot of results, and the costs of recipes.

python docs/generate.py            writes them
python docs/generate.py --check    fails if a document is stale (a test holds the costs true)
"""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from ferlab.cli import app
from ferlab.costs import FILE as COSTS
from ferlab.costs import count_costs
from ferlab.recipes import get_recipe, recipe_groups

ROOT = Path(__file__).parents[1]
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # https://jfly.uni-koeln.de/color/
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def cli_page() -> str:
    """The CLI reference, from the commands themselves."""
    lines = ["# Command line", "", "Generated from the commands by `make docs`.", ""]
    for name, command in _commands(typer.main.get_command(app), "ferlab"):
        lines += [f"## `{name}`", "", *(line.strip() for line in (command.help or "").splitlines()), ""]
        lines += ["| option | meaning | default |", "|---|---|---|"]
        lines += [_option_line(parameter) for parameter in command.params if parameter.name != "help"]
        lines.append("")
    return "\n".join(lines)


def _commands(group: Any, prefix: str) -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        found += _commands(command, path) if hasattr(command, "commands") else [(path, command)]
    return found


def _option_line(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    default = parameter.default if isinstance(parameter.default, str | int | Path) else None
    shown = "" if default is None or isinstance(default, bool) else f"`{default}`"
    return f"| {names} | {(parameter.help or '').replace('|', '/')} | {'required' if parameter.required else shown} |"


def readme() -> str:
    """The README, with its table of results made anew."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + results_table() + END + rest.split(END)[1]


def results() -> list[dict[str, Any]]:
    """The comparisons under `results/`."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "results").glob("*.json"))]


def results_table() -> str:
    """One line for each recipe of the comparisons under `results/`."""
    lines = [
        "| recipe | parameters | PublicTest, % | 95 % interval | image passes | selected on |",
        "|---|---|---|---|---|---|",
    ]
    for comparison in results():
        for row in comparison["ranking"]:
            entry = next(entry for entry in comparison["entries"] if entry["recipe"] == row["recipe"])
            note = comparison["notes"].get(row["recipe"])
            name = f"{row['recipe']} ({note})" if note else row["recipe"]
            low, high = (100 * bound for bound in row["interval"])
            passes = f"{entry['image_passes']:,}" if entry["image_passes"] else "–"
            lines.append(
                f"| {name} | {entry['parameters']:,} | {100 * row['accuracy']:.2f} | {low:.1f} – {high:.1f} "
                f"| {passes} | {row['selected_on'] or '–'} |"
            )
    return "\n".join(lines) + "\n"


def write_curves() -> None:
    """Plots validation accuracy over epochs of every run under `results/`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for comparison in results():
        for number, (run, history) in enumerate(comparison["histories"].items()):
            accuracy = [epoch["val_accuracy"] for epoch in history]
            style = "--" if "study_" in run else "-"
            colour = OKABE_ITO[number % len(OKABE_ITO)]
            axes.plot(range(1, len(accuracy) + 1), accuracy, style, color=colour, label=Path(run).name, linewidth=2)
    axes.set(xlabel="epoch", ylabel="PublicTest accuracy", title="Validation accuracy on FER2013")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(ROOT / "docs" / "learning-curves.svg", metadata={"Date": None})


def write_costs() -> None:
    """Counts the parameters and multiply-adds of every recipe."""
    names = [name for group in recipe_groups().values() for name in group]
    counted = {name: vars(count_costs(get_recipe(name))) for name in names}
    COSTS.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Writes or checks every generated document."""
    documents = {ROOT / "docs" / "cli.md": cli_page(), ROOT / "README.md": readme()}
    stale = [path for path, text in documents.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"stale, run `make docs`: {', '.join(str(path.relative_to(ROOT)) for path in stale)}")
        return
    write_costs()
    write_curves()
    for path in stale:
        path.write_text(documents[path], encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
