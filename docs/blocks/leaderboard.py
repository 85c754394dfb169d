"""Blocks of the leaderboard and of the README's answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blocks.common import FULL_TRAINING, RESULTS, interval, percent, read, table
from blocks.study import Publication, publications
from ferlab.comparison.compare import DEFAULT_RECIPES
from ferlab.comparison.leaderboard import Leaderboard
from ferlab.comparison.results import RankedRecipe
from ferlab.emotions import Target
from ferlab.formatting import listed
from ferlab.json_files import read_result
from ferlab.predict.packaged import packaged_file
from ferlab.recipes import get_recipe


def measured_leaderboard(target: Target = Target.FER2013) -> Leaderboard:
    """The leaderboard of systems whose predictions are in `results/public_predictions/`, on one target."""
    return read_result(Leaderboard, RESULTS / "public_predictions" / f"leaderboard_{target}.json")


def about_systems() -> dict[str, dict[str, Any]]:
    """What each system of the leaderboard is, and its multiply-adds per image."""
    return read(RESULTS / "public_predictions" / "systems.json")


def leaderboard(target: Target) -> str:
    """The leaderboard on one target, and what each system is."""
    header = ["", "system", "accuracy, %", "95 % interval", "not significantly different from"]
    header += ["without copies, %", "balanced accuracy, %", "macro F1"]
    standings = measured_leaderboard(target).standings
    rows = [
        [
            row.rank,
            row.name,
            percent(row.accuracy),
            interval(row.interval),
            ", ".join(row.tied_with) or "–",
            "–" if row.leak_free_accuracy is None else percent(row.leak_free_accuracy),
            percent(row.balanced_accuracy),
            f"{row.macro_f1:.3f}",
        ]
        for row in standings
    ]
    about = about_systems()
    systems = "".join(f"- **{row.name}**: {about[row.name]['about']}.\n" for row in standings)
    return f"{table(header, rows)}\n{systems}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A system and its accuracy on PublicTest."""

    name: str
    about: str
    multiply_adds: int
    accuracy: float
    interval: Sequence[float]


def measured_systems() -> list[Measured]:
    """The fair recipes of the published comparisons and the systems of the leaderboard, best first.

    Of several comparisons of a recipe, the longest counts.
    """
    systems: dict[str, Measured] = {}
    for published in publications():
        for row in published.comparison.ranking:
            if row.group == "fair" and row.recipe not in systems:
                systems[row.recipe] = _measured(published, row)
    for row in measured_leaderboard().standings:
        name = row.name.removesuffix("-seed0")
        if name not in systems:
            about, title = about_systems()[row.name], f"ferlab {name}" if packaged_file(name) else name
            systems[name] = Measured(name=title, **about, accuracy=row.accuracy, interval=row.interval)
    return sorted(systems.values(), key=lambda system: -system.accuracy)


def _measured(published: Publication, row: RankedRecipe) -> Measured:
    entry = published.comparison.scored(row.recipe)[0]
    passes = round((entry.image_passes or 0) / FULL_TRAINING)
    facts = [
        get_recipe(row.recipe).summary,
        f"{passes} passes over Training",
        f"mean of {row.seeds} seeds" if row.seeds > 1 else "one seed",
        *filter(None, [published.notes.get(row.recipe)]),
    ]
    return Measured(
        name=row.recipe,
        about="; ".join(facts),
        multiply_adds=entry.multiply_adds or 0,
        accuracy=row.accuracy,
        interval=row.interval,
    )


def _tie(second: Measured) -> str:
    """Say so if the leaderboard's best system is not significantly better than the second one."""
    tied = {name.removesuffix("-seed0") for name in measured_leaderboard().standings[0].tied_with}
    return " The lead is not significant." if second.name in tied else ""


def answer() -> str:
    """The best system, and accuracy and cost of every system measured on PublicTest."""
    best, second, *_ = systems = measured_systems()
    names = {system.name for system in systems}
    missing = [f"`{name}`" for name in DEFAULT_RECIPES if name not in names]
    open_part = f" Not measured yet: {listed(missing)}." if missing else ""
    sentence = (
        f"Of these {len(systems)} networks, **{best.name}** has the highest accuracy: "
        f"{percent(best.accuracy)} % on PublicTest (95 % interval {interval(best.interval)}), "
        f"{100 * (best.accuracy - second.accuracy):.1f} points more than {second.name}, with "
        f"{percent(best.multiply_adds / second.multiply_adds, 0)} % of its multiply-adds.{_tie(second)}{open_part}"
    )
    rows = [
        [
            system.name,
            system.about,
            f"{system.multiply_adds / 1e6:,.0f}",
            percent(system.accuracy),
            interval(system.interval),
        ]
        for system in systems
    ]
    header = ["network", "", "multiply-adds per image, millions", "PublicTest, %", "95 % interval"]
    chart = "![Accuracy on PublicTest against multiply-adds per image](docs/accuracy-by-cost.svg)"
    return f"{sentence}\n\n{chart}\n\n{table(header, rows)}"
