"""Writes what is generated: the CLI reference, tables of results, their plots, and the costs of recipes.

python docs/generate.py            writes them
python docs/generate.py --check    fails if a document is stale (a test holds the costs true)

A page asks for a table by its name in `BLOCKS`, and this file fills in what stands between the two lines:

    <!-- results: begin -->
    <!-- results: end -->
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from scipy.stats import binomtest

from ferlab.cli import app
from ferlab.evaluation.robustness import CORRUPTIONS, write_sheet
from ferlab.formatting import listed
from ferlab.predict import Artifact
from ferlab.recipes import get_recipe, recipe_groups
from ferlab.recipes.model_stats import FILE as MODEL_STATS
from ferlab.recipes.model_stats import count_model_stats, image_passes, load_model_stats
from ferlab.report import charts, robustness_picture

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- (\S+): begin -->\n).*?(<!-- \2: end -->)", re.DOTALL)
SPLIT_TITLES = {"validation": "PublicTest", "test": "PrivateTest", "validation+test": "PublicTest and PrivateTest"}
FULL_TRAINING = 28709  # images in FER2013's Training split


def cli_page() -> str:
    """The CLI reference, from the commands themselves."""
    lines = ["# Command line", "", "Generated from the commands by `make docs`.", ""]
    for name, command in _commands(typer.main.get_command(app), "ferlab"):
        lines += [f"## `{name}`", "", *_help_lines(command.help or ""), ""]
        options = [_option_line(parameter) for parameter in command.params if parameter.name != "help"]
        lines += ["| option | meaning | default |", "|---|---|---|", *options, ""] if options else []
    return "\n".join(lines)


def _commands(group: Any, prefix: str) -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        found += _commands(command, path) if hasattr(command, "commands") else [(path, command)]
    return found


def _help_lines(text: str) -> list[str]:
    """The lines of a command's help, with its examples in blocks of their own."""
    lines = [line.strip() for line in text.splitlines()]
    return [f"```bash\n{line}\n```" if line.startswith("ferlab ") else line for line in lines]


def _option_line(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{(parameter.metavar or parameter.name.upper()).replace('|', '/')}`"
    default = parameter.default if isinstance(parameter.default, str | int | Path) else None
    shown = "" if default is None or isinstance(default, bool) else f"`{default}`"
    return f"| {names} | {(parameter.help or '').replace('|', '/')} | {'required' if parameter.required else shown} |"


def filled(path: Path) -> str:
    """A page, with every marked block in it made anew."""

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in BLOCKS:
            sys.exit(f"{path.name}: unknown block '{name}'. Known are {', '.join(BLOCKS)}.")
        return f"{begin}{BLOCKS[name]()}{end}"

    return MARKED.sub(fill, path.read_text(encoding="utf-8"))


def results() -> list[dict[str, Any]]:
    """The comparisons under `results/`."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "results").glob("*.json"))]


def results_table() -> str:
    """One line for each recipe of the comparisons under `results/`."""
    return "\n".join(_ranking_table(comparison, comparison["ranking"]) for comparison in results())


def twins() -> str:
    """The study's recipes beside their fair twins, what their comparison finds, and what is not measured yet."""
    parts, measured = [], set()
    for comparison in results():
        rows = [row for row in comparison["ranking"] if not row["recipe"].startswith("baseline_")]
        rows.sort(key=lambda row: (_architecture(row["recipe"]), not row["recipe"].startswith("study_")))
        measured |= {row["recipe"] for row in rows}
        parts += [_ranking_table(comparison, rows), "".join(f"- {finding}\n" for finding in comparison["findings"])]
    missing = [name for name in _recipe_names() if name not in measured]
    return "\n".join([*parts, f"Not in a comparison of ours yet: {', '.join(f'`{name}`' for name in missing)}.\n"])


def _ranking_table(comparison: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    title = SPLIT_TITLES[comparison["ranked_on"]]
    lines = [
        f"| recipe | parameters | {title}, % | 95 % interval | seeds | image passes | selected on |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        entry = next(entry for entry in comparison["entries"] if entry["recipe"] == row["recipe"])
        note = comparison["notes"].get(row["recipe"])
        name = f"{row['recipe']} ({note})" if note else row["recipe"]
        low, high = (100 * bound for bound in row["interval"])
        seeds = f"{row['seeds']}" if row["selected_on"] else "–"
        passes = f"{entry['image_passes']:,}" if entry["image_passes"] else "–"
        selected_on = SPLIT_TITLES[row["selected_on"]] if row["selected_on"] else "–"
        lines.append(
            f"| {name} | {entry['parameters']:,} | {100 * row['accuracy']:.2f} | {low:.1f} – {high:.1f} "
            f"| {seeds} | {passes} | {selected_on} |"
        )
    return "\n".join(lines) + "\n"


def notebooks() -> str:
    """The study's four notebooks, as its recipes hold them."""
    lines = [
        "| recipe | pixels a side | what learns | parameters (trained) | optimizer, learning rate | epochs "
        "| share of Training in an epoch | best accuracy, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in recipe_groups()["study"]:
        recipe, stats = get_recipe(name), load_model_stats()[name]
        side = recipe.model.get("input_size", 48)
        learns = "everything" if recipe.model.get("trainable_backbone", True) else "the layers after the backbone"
        share = image_passes(recipe, FULL_TRAINING) / recipe.epochs / FULL_TRAINING
        lines.append(
            f"| {name} | {side} | {learns} | {stats.parameters:,} ({stats.trainable_parameters:,}) "
            f"| {recipe.optimizer}, {recipe.learning_rate:g} | {recipe.epochs} | {100 * share:.0f} % "
            f"| {100 * (recipe.expected_accuracy or 0):.2f} |"
        )
    return "\n".join(lines) + "\n"


def deviations() -> str:
    """The study's deviations from good practice, and the recipes that make each."""
    recipes: dict[str, list[str]] = {}
    for name in recipe_groups()["study"]:
        for deviation in get_recipe(name).deviations:
            recipes.setdefault(deviation, []).append(f"`{name}`")
    return "".join(f"- {deviation}: {', '.join(names)}\n" for deviation, names in recipes.items())


def reproduction() -> str:
    """The commands that train the published runs again, and what they were made with."""
    parts = []
    for comparison in results():
        trained = [entry for entry in comparison["entries"] if entry["run"]]
        made_with = comparison["environment"]
        versions = ", ".join(f"{name} {version}" for name, version in made_with["versions"].items())
        notes = [f"- `{recipe}`: {note}.\n" for recipe, note in comparison["notes"].items()]
        parts += [
            "```bash\n" + "".join(f"{_train_command(entry)}\n" for entry in trained) + "```\n",
            f"They were made with Python {made_with['python']}, {versions}.\n"
            f"Numeric policy: {made_with['policy']}. Device: {made_with['device']}, {made_with['cores']} cores.\n",
            *(["Notes on single runs:\n", "".join(notes)] if notes else []),
        ]
    return "\n".join(parts)


def _train_command(entry: dict[str, Any]) -> str:
    """The command of one published run; the number of epochs is named where it is not the recipe's own."""
    recipe = get_recipe(entry["recipe"])
    changed = entry["epochs"] != recipe.epochs and not recipe.early_stopping.patience
    setting = f" --set epochs={entry['epochs']}" if changed else ""
    out = f"runs/{entry['recipe']}-seed{entry['seed']}"
    return f"ferlab train {entry['recipe']} --data fer2013.zip \\\n    --seed {entry['seed']} --out {out}{setting}"


def _architecture(recipe: str) -> str:
    return get_recipe(recipe).architecture


def _recipe_names() -> list[str]:
    return [name for group in recipe_groups().values() for name in group]


def model_facts() -> str:
    """What the artifact in the package says of itself."""
    artifact = Artifact()
    facts, stats = artifact.metadata, load_model_stats()[artifact.metadata["name"]]
    rows = {
        "recipe": f"`{facts['name']}`, seed {facts['protocol']['seed']}",
        "classes": ", ".join(artifact.class_names),
        "parameters": f"{stats.parameters:,}",
        "multiply-adds of a face": f"{stats.multiply_adds:,}",
        "file": f"{artifact.path.stat().st_size / 1e6:.2f} MB, SHA-256 `{facts['sha256']}`",
        "temperature": f"{facts['temperature']:.3f}",
        "Training": f"fingerprint `{facts['fingerprints']['train']}`",
        "PublicTest": f"fingerprint `{facts['fingerprints']['validation']}`",
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items())


def evaluations() -> dict[str, dict[str, Any]]:
    """What `ferlab evaluate --json` printed of the model in the package and of its recipe's other seeds, by file."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "results" / "models").glob("fernet_s*.json"))
    }


def model_accuracy() -> str:
    """One line for each scored split of the model in the package, and one for the seeds of its recipe."""
    lines = [
        "| model | split | pictures | accuracy, % | 95 % interval | without copies of training images, % | macro F1 "
        "| log loss | expected calibration error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, scores in evaluations().items():
        low, high = (100 * bound for bound in scores["accuracy_interval"])
        title = "in the package" if name == "fernet_s" else name.removeprefix("fernet_s-")
        lines.append(
            f"| {title} | {SPLIT_TITLES[scores['split']]} | {scores['images']:,} | {100 * scores['accuracy']:.2f} "
            f"| {low:.1f} – {high:.1f} | {100 * scores['leak_free']['accuracy']:.2f} | {scores['macro_f1']:.3f} "
            f"| {scores['log_loss']:.3f} "
            f"| {scores['expected_calibration_error']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def model_classes() -> str:
    """Scores of each class, of the model in the package, with intervals."""
    scores = evaluations()["fernet_s"]
    lines = ["| class | pictures | recall, % | precision, % |", "|---|---|---|---|"]
    for number, (name, taken) in enumerate(zip(scores["class_names"], scores["confusion"], strict=True)):
        called = sum(row[number] for row in scores["confusion"])
        cells = [name, str(sum(taken)), _share(taken[number], sum(taken)), _share(taken[number], called)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _share(part: int, whole: int) -> str:
    """A share with its 95 % interval, in percent."""
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{100 * part / whole:.1f} ({100 * interval.low:.1f} – {100 * interval.high:.1f})"


def model_confusions() -> str:
    """The five commonest confusions of the model in the package."""
    scores = evaluations()["fernet_s"]
    names, counts = scores["class_names"], scores["confusion"]
    pairs = [
        (counts[true][taken] / sum(counts[true]), names[true], names[taken])
        for true in range(len(names))
        for taken in range(len(names))
        if true != taken
    ]
    pairs.sort(reverse=True)
    return "".join(f"- {100 * share:.0f} % of {true} is taken for {taken}.\n" for share, true, taken in pairs[:5])


def corruptions() -> str:
    """What each corruption does, from its function's first line, and its strengths."""
    lines = []
    for name, corruption in CORRUPTIONS.items():
        meaning = (corruption.apply.__doc__ or "").strip().splitlines()[0]
        strengths = ", ".join(f"{strength:g}" for strength in corruption.strengths)
        lines.append(f"- **{name.replace('_', ' ')}**: {meaning} Strengths: {strengths} ({corruption.unit}).\n")
    return "".join(lines)


def measured_robustness() -> dict[str, Any]:
    """What `ferlab robustness default --out` wrote of the model in the package."""
    return json.loads((ROOT / "results" / "robustness" / "fernet_s.json").read_text(encoding="utf-8"))


def robustness_table() -> str:
    """One line for each corruption of the model in the package, and whether that is the one there now."""
    result = measured_robustness()
    clean = result["clean_accuracy"]
    current = Artifact().metadata["accuracy"].get(result["split"]) == clean
    whose = "the model in the package as it is now" if current else "**an earlier model than the one in the package**"
    worst = sorted(result["corruptions"], key=lambda name: sum(result["corruptions"][name]["accuracies"]))[:3]
    lines = [
        f"These are figures of {whose}, on the {result['images']:,} pictures of {SPLIT_TITLES[result['split']]}. Clean "
        f"accuracy: {100 * clean:.2f} %. Score: {result['score']:.3f}. Most is lost to "
        f"{listed([name.replace('_', ' ') for name in worst])}.\n",
        "| accuracy, % | clean | 1 | 2 | 3 | 4 | 5 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in result["corruptions"].items():
        shares = " | ".join(f"{100 * share:.1f}" for share in (clean, *row["accuracies"]))
        lines.append(f"| {name.replace('_', ' ')} | {shares} |")
    return "\n".join(lines) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "results": results_table,
    "twins": twins,
    "notebooks": notebooks,
    "deviations": deviations,
    "reproduction": reproduction,
    "model-facts": model_facts,
    "model-accuracy": model_accuracy,
    "model-classes": model_classes,
    "model-confusions": model_confusions,
    "corruptions": corruptions,
    "robustness": robustness_table,
}


def write_curves() -> None:
    """Plots validation accuracy over epochs of every run under `results/`."""
    values = [
        {"recipe": recipe, "seed": seed, "epoch": epoch["epoch"], "accuracy": 100 * epoch["val_accuracy"]}
        for comparison in results()
        for run, history in comparison["histories"].items()
        for recipe, seed in [run.rsplit("-seed", 1)]
        for epoch in history
    ]
    recipes = list(dict.fromkeys(value["recipe"] for value in values))
    chart = charts.overlaid_curves(values, "accuracy", recipes)
    spec = charts.specification(chart, "Validation accuracy on FER2013 over epochs, by recipe")
    (ROOT / "docs" / "learning-curves.svg").write_text(charts.still_picture(spec, width=760), encoding="utf-8")


def write_robustness_pictures() -> None:
    """Plots the robustness of the model in the package, and draws the sheet of corruptions."""
    picture = robustness_picture(measured_robustness())
    (ROOT / "docs" / "how-to" / "robustness.svg").write_text(picture, encoding="utf-8")
    write_sheet(ROOT / "docs" / "how-to" / "robustness.png")


def write_model_stats() -> None:
    """Counts the parameters and multiply-adds of every recipe."""
    counted = {name: vars(count_model_stats(get_recipe(name))) for name in _recipe_names()}
    MODEL_STATS.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Writes or checks every generated document."""
    checking = "--check" in sys.argv[1:]
    if not checking:
        write_model_stats()  # first: the pages name them
    pages = [ROOT / "README.md", ROOT / "MODEL_CARD.md", *sorted((ROOT / "docs").rglob("*.md"))]
    documents = {page: filled(page) for page in pages} | {ROOT / "docs" / "cli.md": cli_page()}
    stale = [path for path, text in documents.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if checking:
        if stale:
            sys.exit(f"stale, run `make docs`: {', '.join(str(path.relative_to(ROOT)) for path in stale)}")
        return
    write_curves()
    write_robustness_pictures()
    for path in stale:
        path.write_text(documents[path], encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
