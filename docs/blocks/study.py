"""Blocks about the study: its notebooks, the comparisons that continue it, and how to reproduce them."""

from dataclasses import dataclass
from typing import Any

from blocks.common import FULL_TRAINING, RESULTS, SPLIT_TITLES, interval, percent, read, split_titles, table
from ferlab.comparison.results import Comparison, Entry, RankedRecipe
from ferlab.json_files import parse
from ferlab.recipes import get_recipe, recipe_groups
from ferlab.recipes.model_stats import image_passes, load_model_stats
from ferlab.results import Epoch


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A published comparison.

    Args:
        comparison: the comparison.
        histories: the epochs of each run.
        environments: its machines.
        backends: the Keras backend of each run, by the name of its folder.
        notes: what a reader must know, by recipe.
        settings: fields that differed from today's recipe, by recipe.
        folder: for the run folders, in the commands that repeat it.
    """

    comparison: Comparison
    histories: dict[str, tuple[Epoch, ...]]
    environments: list[dict[str, Any]]
    backends: dict[str, str]
    notes: dict[str, str]
    settings: dict[str, dict[str, Any]]
    folder: str


def publications() -> list[Publication]:
    """The published comparisons, the longest trainings first."""
    return [longest_publication(), complete_publication(), first_publication()]


def longest_publication() -> Publication:
    """The comparison with the most passes and several seeds."""
    return _publication("comparison_40_passes.json", "runs-40-passes")


def complete_publication() -> Publication:
    """The comparison of all of the study's architectures under equal conditions."""
    return _publication("comparison.json", "runs")


def first_publication() -> Publication:
    """An earlier comparison, with two of the study's own recipes."""
    return _publication("first_comparison.json", "first")


def _publication(name: str, folder: str) -> Publication:
    path = RESULTS / name
    stored = read(path)
    histories = {run: tuple(Epoch(**epoch) for epoch in epochs) for run, epochs in stored["histories"].items()}
    comparison = parse(Comparison, stored, path)
    return Publication(
        comparison=comparison,
        histories=histories,
        environments=stored["environments"],
        backends=stored.get("backends", {}),
        notes=stored["notes"],
        settings=stored["settings"],
        folder=folder,
    )


def comparison() -> str:
    """The study's architectures under equal conditions, and the findings."""
    return _ranking_and_findings(complete_publication())


def longest_comparison() -> str:
    """The architectures that were trained for the most passes, and the findings."""
    return _ranking_and_findings(longest_publication())


def twins() -> str:
    """The study's recipes beside their fair twins, and the findings."""
    return _ranking_and_findings(first_publication())


def _ranking_and_findings(published: Publication) -> str:
    rows = [row for row in published.comparison.ranking if not row.is_baseline]
    sentences = "".join(f"- {sentence}\n" for sentence in published.comparison.findings)
    return f"{_ranking_table(published, rows)}\n{sentences}"


def uncompared() -> str:
    """The recipes without a result."""
    compared = {row.recipe for published in publications() for row in published.comparison.ranking}
    missing = [f"`{name}`" for name in recipe_names() if name not in compared]
    return f"Not in these comparisons: {', '.join(missing)}. FerNet is on the [leaderboard](leaderboard.md).\n"


def _ranking_table(published: Publication, rows: list[RankedRecipe]) -> str:
    title = SPLIT_TITLES[published.comparison.ranked_on]
    header = ["recipe", "parameters", f"{title}, %", "95 % interval", "seeds", "image passes", "selected on"]
    return table(header, [_ranking_row(published, row) for row in rows])


def _ranking_row(published: Publication, row: RankedRecipe) -> list[object]:
    entry = published.comparison.scored(row.recipe)[0]
    note = published.notes.get(row.recipe)
    name = f"{row.recipe} ({note})" if note else row.recipe
    numbers = [f"{entry.parameters:,}", percent(row.accuracy, 2), interval(row.interval)]
    return [name, *numbers, row.seeds, f"{entry.image_passes:,}", split_titles(row.selected_on)]


def reproduction() -> str:
    """The commands that repeat the published runs, and the versions behind them."""
    parts = []
    for published in publications():
        commands = "".join(
            f"{_train_command(entry, published)}\n" for entry in published.comparison.entries if entry.run
        )
        recipes = {entry.recipe for entry in published.comparison.entries}
        notes = [f"- `{recipe}`: {note}.\n" for recipe, note in published.notes.items() if recipe in recipes]
        parts += [
            f"```bash\n{commands}```\n",
            *(["The runs were made on several machines.\n"] if len(published.environments) > 1 else []),
            *map(_machine, published.environments),
            *(["Notes:\n", "".join(notes)] if notes else []),
        ]
    return "\n".join(parts)


def _machine(environment: dict[str, Any]) -> str:
    """The versions and the device of one machine."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return (
        f"Versions: Python {environment['python']}, {versions}. Numeric policy: {environment['policy']}.\n"
        f"Device: {environment['device']}, {environment['cores']} cores.\n"
    )


def _train_command(entry: Entry, published: Publication) -> str:
    """The command of one published run, with the fields that the recipe has changed since."""
    recipe, name = get_recipe(entry.recipe), f"{entry.recipe}-seed{entry.seed}"
    settings = published.settings.get(entry.recipe, {})
    if entry.epochs != recipe.epochs and not recipe.early_stopping.patience:
        settings = settings | {"epochs": entry.epochs}
    changes = "".join(f" --set {field}={value}" for field, value in settings.items())
    backend = " --backend jax" if published.backends.get(name) == "jax" else ""
    return (
        f"ferlab train {entry.recipe} --data fer2013.zip \\\n"
        f"    --seed {entry.seed} --out {published.folder}/{name}{backend}{changes}"
    )


def notebooks() -> str:
    """The study's four notebooks, as its recipes record them."""
    header = ["recipe", "input, pixels", "trained layers", "parameters (trained)", "optimizer, learning rate", "epochs"]
    header += ["share of Training per epoch", "best accuracy, %"]
    return table(header, [_notebook_row(name) for name in recipe_groups()["study"]])


def _notebook_row(name: str) -> list[object]:
    recipe, stats = get_recipe(name), load_model_stats()[name]
    trained = "all" if recipe.model.get("trainable_backbone", True) else "the layers after the backbone"
    share = image_passes(recipe, FULL_TRAINING) / recipe.epochs / FULL_TRAINING
    return [
        name,
        recipe.model.get("input_size", 48),
        trained,
        f"{stats.parameters:,} ({stats.trainable_parameters:,})",
        f"{recipe.optimizer}, {recipe.learning_rate:g}",
        recipe.epochs,
        f"{percent(share, 0)} %",
        percent(recipe.expected_accuracy or 0, 2),
    ]


def deviations() -> str:
    """The study's deviations from good practice, each with the recipes that have it."""
    recipes: dict[str, list[str]] = {}
    for name in recipe_groups()["study"]:
        for deviation in get_recipe(name).deviations:
            recipes.setdefault(deviation, []).append(f"`{name}`")
    return "".join(f"- {deviation}: {', '.join(names)}\n" for deviation, names in recipes.items())


def recipe_names() -> list[str]:
    return [name for group in recipe_groups().values() for name in group]
