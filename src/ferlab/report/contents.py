"""What a report says, whatever its form: gathered from comparison.json and the run folders that it names."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.comparison.findings import summary
from ferlab.errors import FerlabError
from ferlab.evaluation import metrics
from ferlab.explanation.heatmaps import shares_by_height
from ferlab.recipes import get_recipe
from ferlab.report import charts
from ferlab.runs import RunFolder, confident_mistakes, random_examples, read_json

NUM_MISTAKES = 8  # shown of each model
MARK = "†"  # on the names of recipes that selected on the test split

COSTS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds of one image",
    "training_seconds": "seconds of training",
}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart: a name for its place and file, a title, what it shows in words, and its Vega-Lite specification."""

    name: str
    title: str
    description: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one model says of one picture: class probabilities `(K,)`, 0..1."""

    recipe: str
    predicted: str
    right: bool
    probabilities: list[float]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One picture, `(48, 48)` uint8, with its true class and what models say of it."""

    name: str
    image: np.ndarray
    true: str
    answers: list[Answer]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that a report shows; the colors are those of the recipes, best first.

    Examples and mistakes are empty where pictures are not wanted, or no run has predictions.
    """

    comparison: dict[str, Any]
    summary: list[str]
    rows: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    colors: dict[str, str]
    overview: list[Chart]
    trade_offs: list[Chart]
    curves: dict[str, list[Chart]]
    class_scores: Chart
    confusions: list[Chart]
    calibration: list[Chart]
    explanations: list[Chart]
    examples: list[Example] = field(default_factory=list)
    mistakes: dict[str, list[Example]] = field(default_factory=dict)


def gather(folder: Path, pictures: bool = True) -> Contents:
    """Reads a comparison and its runs.

    Args:
        folder: of the comparison.
        pictures: with images of the data set. Leave them out of a report that is passed on where the terms of the
            data forbid that, as FER2013's do.

    Raises:
        RunError: if there is no comparison.
    """
    stored = read_json(folder / "comparison.json")
    comparison = _marked(stored)
    runs = [_run(entry, folder) for entry in comparison["entries"] if entry["run"]]
    first_runs = {run["recipe"]: run for run in reversed(runs) if run["scored"]}
    ranked = [row["recipe"] for row in comparison["ranking"] if row["recipe"] in first_runs]
    order = list(dict.fromkeys([*ranked, *(run["recipe"] for run in runs if run["history"])]))
    models = {recipe: RunFolder(folder / first_runs[recipe]["run"]) for recipe in ranked}
    return Contents(
        comparison=comparison,
        summary=summary(stored),
        rows=[_row(row, comparison) for row in comparison["ranking"]],
        runs=runs,
        overview=_overview(runs, order),
        colors=charts.colors(order),
        trade_offs=_trade_offs(comparison),
        curves={f"{run['recipe']}, seed {run['seed']}": _curves(run) for run in runs if run["history"]},
        class_scores=_class_scores(comparison),
        confusions=_confusions(comparison),
        calibration=_calibration(models, comparison["ranked_on"]),
        explanations=_explanations(models, comparison["dataset"]["class_names"]),
        examples=_examples(models, comparison) if pictures else [],
        mistakes=_mistakes(models, comparison) if pictures else {},
    )


def _marked(comparison: dict[str, Any]) -> dict[str, Any]:
    """The comparison with a mark on the names, wherever they are shown, of recipes that selected on the test split."""
    flagged = {row["recipe"] for row in comparison["ranking"] if _selected_on_test(row)}

    def marked(name: str) -> str:
        return f"{name}{MARK}" if name in flagged else name

    entries = [entry | {"recipe": marked(entry["recipe"])} for entry in comparison["entries"]]
    ranking = [
        row | {"recipe": marked(row["recipe"]), "tied_with": [marked(name) for name in row["tied_with"]]}
        for row in comparison["ranking"]
    ]
    differences = [
        pair | {"first": marked(pair["first"]), "second": marked(pair["second"])} for pair in comparison["differences"]
    ]
    return comparison | {"entries": entries, "ranking": ranking, "differences": differences}


def _selected_on_test(row: Mapping[str, Any]) -> bool:
    return "test" in (row["selected_on"] or "").split("+")


def _row(row: dict[str, Any], comparison: dict[str, Any]) -> dict[str, Any]:
    """A line of the ranking, with what the entries know about its model."""
    entries = _scored(comparison, row["recipe"])
    macro_f1 = float(np.mean([entry[comparison["ranked_on"]]["macro_f1"] for entry in entries]))
    return {**entries[0], **row, "macro_f1": macro_f1, "selected_on_test": _selected_on_test(row)}


def _scored(comparison: Mapping[str, Any], recipe: str) -> list[dict[str, Any]]:
    ranked_on = comparison["ranked_on"]
    return [entry for entry in comparison["entries"] if entry["recipe"] == recipe and entry[ranked_on]]


def _run(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a report shows of one run, and how it can be repeated."""
    run = RunFolder(folder / entry["run"])
    known = run.exists()
    return {
        **entry,
        "scored": bool(entry["validation"] or entry["test"]),
        "history": run.history(),
        "environment": run.environment() if known else {},
        "command": _command(run) if known else None,
    }


def _command(run: RunFolder) -> str:
    """The command that repeats a run."""
    recipe, source = run.recipe(), run.dataset()["source"]
    name = f"{recipe.name}-seed{run.seed()}"
    words = ["ferlab", "train", recipe.name, "--data", source, "--out", f"runs/{name}", "--seed", str(run.seed())]
    if run.environment().get("backend") == "jax":
        words += ["--backend", "jax"]
    if recipe.votes:
        words += ["--ferplus", "fer2013new.csv"]
    try:
        original = get_recipe(recipe.name)
    except FerlabError:
        return f"{shlex.join(words)} --plugin FILE.py"
    usual = original.flat_fields()
    for key, value in recipe.flat_fields().items():
        text = ",".join(value) if isinstance(value, tuple) else value
        words += ["--set", f"{key}={text}"] if usual.get(key) != value else []
    return shlex.join(words)


def _curves(run: dict[str, Any]) -> list[Chart]:
    name = f"{run['recipe']}, seed {run['seed']}"
    return [_curve_chart(run, name, measure) for measure in ("accuracy", "loss")]


def _curve_chart(run: dict[str, Any], name: str, measure: str) -> Chart:
    factor = 100 if measure == "accuracy" else 1
    history = run["history"]
    epochs = [
        {"epoch": epoch["epoch"], "training": factor * epoch[measure], "validation": factor * epoch[f"val_{measure}"]}
        for epoch in history
    ]
    ends = f"from {epochs[0]['validation']:.3g} to {epochs[-1]['validation']:.3g}"
    description = f"{measure} of {name} over {len(epochs)} epochs; on validation images it goes {ends}"
    spec = charts.specification(charts.learning_curves(epochs, measure), description)
    return Chart(name=f"{measure}-{run['recipe']}-{run['seed']}", title=measure, description=description, spec=spec)


def _overview(runs: list[dict[str, Any]], recipes: list[str]) -> list[Chart]:
    made: list[Chart] = []
    if not any(run["history"] for run in runs):
        return made
    for measure, factor in (("accuracy", 100), ("loss", 1)):
        values = [
            {
                "recipe": run["recipe"],
                "seed": run["seed"],
                "epoch": epoch["epoch"],
                measure: factor * epoch[f"val_{measure}"],
            }
            for run in runs
            for epoch in run["history"]
        ]
        description = f"validation {measure} of {', '.join(recipes)} over epochs"
        spec = charts.specification(charts.overlaid_curves(values, measure, recipes), description)
        made.append(
            Chart(name=f"validation-{measure}", title=f"Validation {measure}", description=description, spec=spec)
        )
    return made


def _trade_offs(comparison: dict[str, Any]) -> list[Chart]:
    """Accuracy against each cost, for all models that have the cost."""
    values = []
    for row in comparison["ranking"]:
        entries = [entry for entry in _scored(comparison, row["recipe"]) if entry["epochs"]]
        if entries:
            low, high = row["seed_interval"] or row["interval"]
            seconds = float(np.mean([entry["seconds"] for entry in entries]))
            shares = {"accuracy": row["accuracy"], "low": max(0.0, low), "high": min(1.0, high)}
            costs = {"parameters": entries[0]["parameters"], "multiply_adds": entries[0]["multiply_adds"]}
            percents = {key: 100 * share for key, share in shares.items()}
            values.append({"recipe": row["recipe"], **percents, **costs, "training_seconds": max(seconds, 0.1)})
    return [_trade_off(values, cost, title) for cost, title in COSTS.items()] if values else []


def _trade_off(values: list[dict[str, Any]], cost: str, title: str) -> Chart:
    points = "; ".join(f"{value['recipe']} {value['accuracy']:.1f} % at {value[cost]:.3g}" for value in values)
    description = f"Accuracy against {title}: {points}"
    spec = charts.specification(charts.accuracy_against(values, cost, title), description)
    return Chart(name=f"accuracy-against-{cost}", title=f"Against {title}", description=description, spec=spec)


def _class_scores(comparison: dict[str, Any]) -> Chart:
    ranked_on, class_names = comparison["ranked_on"], comparison["dataset"]["class_names"]
    recipes = [row["recipe"] for row in comparison["ranking"]]
    values = [
        {"recipe": recipe, "class": name} | _mean_scores(_scored(comparison, recipe), ranked_on, name)
        for recipe in recipes
        for name in class_names
    ]
    description = f"F1 of each class on the {ranked_on} images, by recipe; the mean over seeds"
    spec = charts.specification(charts.class_scores(values, recipes, class_names), description)
    return Chart(name="class-scores", title="F1 of each class", description=description, spec=spec)


def _mean_scores(entries: list[dict[str, Any]], split: str, class_name: str) -> dict[str, float | None]:
    scores = [entry[split]["per_class"][class_name] for entry in entries]
    keys = ("precision", "recall", "f1")
    return {key: None if scores[0][key] is None else float(np.mean([score[key] for score in scores])) for key in keys}


def _confusions(comparison: dict[str, Any]) -> list[Chart]:
    """One matrix a trained recipe, counts added up over seeds."""
    class_names, made = comparison["dataset"]["class_names"], []
    for row in comparison["ranking"]:
        entries = _scored(comparison, row["recipe"])
        if entries[0]["run"]:
            counts = np.sum([entry[comparison["ranked_on"]]["confusion"] for entry in entries], axis=0)
            description = f"{row['recipe']}: {_worst_confusion(counts, class_names)}"
            spec = charts.specification(charts.confusion_matrix(counts.tolist(), class_names), description)
            made.append(
                Chart(name=f"confusion-{row['recipe']}", title=row["recipe"], description=description, spec=spec)
            )
    return made


def _calibration(models: dict[str, RunFolder], split: str) -> list[Chart]:
    """Each recipe's first seed: whether its probabilities mean what they say, and what its surest answers are worth."""
    if not models:
        return []
    stored = {recipe: run.predictions() for recipe, run in models.items()}
    answers = {recipe: (one[f"{split}_labels"], one[f"{split}_probabilities"]) for recipe, one in stored.items()}
    bins = {recipe: metrics.reliability(*answer) for recipe, answer in answers.items()}
    curves = {recipe: metrics.risk_coverage(*answer) for recipe, answer in answers.items()}
    errors = [f"{recipe} {metrics.expected_calibration_error(*answer):.3f}" for recipe, answer in answers.items()]
    reliable = f"Accuracy against confidence on {split} images; expected calibration error: {', '.join(errors)}"
    halves = [f"{recipe} {100 * curve[len(curve) // 2 - 1]['accuracy']:.1f} %" for recipe, curve in curves.items()]
    covered = f"Accuracy of the surest answers on {split} images; of the surest half: {', '.join(halves)}"
    return [
        Chart(
            name="reliability",
            title="Accuracy against confidence",
            description=reliable,
            spec=charts.specification(charts.reliability(bins), reliable),
        ),
        Chart(
            name="risk-coverage",
            title="Accuracy of the surest answers",
            description=covered,
            spec=charts.specification(charts.risk_coverage(curves), covered),
        ),
    ]


def _explanations(models: dict[str, RunFolder], class_names: list[str]) -> list[Chart]:
    """Each recipe's first seed: where it sees each class, as far as that was looked at when it was trained."""
    made = []
    for recipe, run in models.items():
        stored = run.explanations()
        if not stored:
            continue
        maps = dict(zip(class_names, stored["maps"], strict=True))
        wheres = [f"{name} {_where(heat)}" for name, heat in maps.items()]
        found = float(stored["rank_correlation"])
        known = "not known" if np.isnan(found) else f"{found:.2f}"
        title = (
            f"{recipe}: {stored['images'].max()} {stored['split']} images of each class at most; rank correlation with "
            f"untrained networks {known}"
        )
        chart = charts.mean_maps({name: heat.tolist() for name, heat in maps.items()})
        description = f"Where {recipe} sees each class, in thirds of the picture: {'; '.join(wheres)}"
        spec = charts.specification(chart, description)
        made.append(Chart(name=f"explanation-{recipe}", title=title, description=description, spec=spec))
    return made


def _where(heat: np.ndarray) -> str:
    shares = shares_by_height(heat)
    if shares is None:
        return "nowhere"
    return ", ".join(
        f"{where} {100 * share:.0f} %" for where, share in zip(("upper", "middle", "lower"), shares, strict=True)
    )


def _worst_confusion(counts: np.ndarray, class_names: list[str]) -> str:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    if not shares.any():
        return "no image is taken for one of another class"
    true, predicted = np.unravel_index(shares.argmax(), shares.shape)
    return (
        f"most often {class_names[true]} is taken for {class_names[predicted]}, in {100 * shares.max():.0f} % of cases"
    )


def _examples(models: dict[str, RunFolder], comparison: dict[str, Any]) -> list[Example]:
    """The same random pictures for all models, each with every model's probabilities."""
    split, class_names = comparison["ranked_on"], comparison["dataset"]["class_names"]
    stored = {recipe: run.predictions() for recipe, run in models.items()}
    if not stored:
        return []
    first = next(iter(stored.values()))
    positions = random_examples(len(first[f"{split}_labels"]))
    return [_example(first, position, stored, split, class_names) for position in positions]


def _mistakes(models: dict[str, RunFolder], comparison: dict[str, Any]) -> dict[str, list[Example]]:
    """Each model's wrong answers of the highest probability."""
    split, class_names = comparison["ranked_on"], comparison["dataset"]["class_names"]
    found = {}
    for recipe, run in models.items():
        stored = run.predictions()
        positions = confident_mistakes(stored[f"{split}_labels"], stored[f"{split}_probabilities"])[:NUM_MISTAKES]
        found[recipe] = [_example(stored, position, {recipe: stored}, split, class_names) for position in positions]
    return found


def _example(
    shown: dict[str, np.ndarray], position: int, models: dict[str, dict[str, np.ndarray]], split: str, names: list[str]
) -> Example:
    """The picture at a position of one run's predictions, and what runs say of it, found by its key."""
    key, label = shown[f"{split}_keys"][position], int(shown[f"{split}_labels"][position])
    kept = int(np.flatnonzero(shown[f"{split}_examples"] == position)[0])
    answers = []
    for recipe, stored in models.items():
        probabilities = stored[f"{split}_probabilities"][np.flatnonzero(stored[f"{split}_keys"] == key)[0]]
        predicted = int(probabilities.argmax())
        answers.append(
            Answer(
                recipe=recipe,
                predicted=names[predicted],
                right=predicted == label,
                probabilities=[float(value) for value in probabilities],
            )
        )
    image = shown[f"{split}_example_images"][kept]
    return Example(name=str(shown[f"{split}_names"][position]), image=image, true=names[label], answers=answers)
