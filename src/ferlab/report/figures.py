"""Figures of a report: charts of a comparison, each with a name, a title and a text description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from ferlab.comparison.results import Comparison, Entry
from ferlab.evaluation import metrics
from ferlab.explanation.heatmaps import shares_by_height
from ferlab.report import charts
from ferlab.results import ClassScores, Epoch
from ferlab.run_arrays import ClassMaps, Predictions

COSTS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per image",
    "training_seconds": "seconds of training",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart: a name for its place and file, a title, a description, and its Vega-Lite specification."""

    name: str
    title: str
    description: str
    spec: Mapping[str, Any]


def _figure(name: str, title: str, description: str, chart: alt.TopLevelMixin) -> Figure:
    return Figure(name=name, title=title, description=description, spec=charts.specification(chart, description))


def learning_curves(entry: Entry, history: Sequence[Epoch]) -> list[Figure]:
    """Draw training and validation accuracy and loss of one run over epochs."""
    accuracies = [(100 * epoch.accuracy, 100 * epoch.val_accuracy) for epoch in history]
    losses = [(epoch.loss, epoch.val_loss) for epoch in history]
    return [_learning_curve(entry, "accuracy", accuracies), _learning_curve(entry, "loss", losses)]


def _learning_curve(entry: Entry, measure: str, pairs: list[tuple[float, float]]) -> Figure:
    epochs = [
        {"epoch": number, "training": training, "validation": validation}
        for number, (training, validation) in enumerate(pairs, start=1)
    ]
    name = f"{entry.recipe}, seed {entry.seed}"
    ends = f"from {pairs[0][1]:.3g} to {pairs[-1][1]:.3g}"
    description = f"{measure} of {name} over {len(pairs)} epochs; on validation images it goes {ends}"
    chart = charts.learning_curves(epochs, measure)
    return _figure(f"{measure}-{entry.recipe}-{entry.seed}", measure.capitalize(), description, chart)


def validation_curves(runs: Sequence[tuple[Entry, Sequence[Epoch]]], recipes: Sequence[str]) -> list[Figure]:
    """Draw validation accuracy and loss of all runs over epochs."""
    if not any(history for _, history in runs):
        return []
    rows = [
        {
            "recipe": entry.recipe,
            "seed": entry.seed,
            "epoch": epoch.epoch,
            "accuracy": 100 * epoch.val_accuracy,
            "loss": epoch.val_loss,
        }
        for entry, history in runs
        for epoch in history
    ]
    made = []
    for measure in ("accuracy", "loss"):
        description = f"validation {measure} of {', '.join(recipes)} over epochs"
        chart = charts.overlaid_curves(rows, measure, recipes)
        made.append(_figure(f"validation-{measure}", f"Validation {measure}", description, chart))
    return made


def trade_offs(comparison: Comparison) -> list[Figure]:
    """Draw accuracy against each cost, for all networks."""
    values: list[dict[str, Any]] = []
    for row in comparison.ranking:
        entries = [entry for entry in comparison.scored(row.recipe) if entry.epochs]
        if entries:
            low, high = row.seed_interval or row.interval
            shares = {"accuracy": row.accuracy, "low": max(0.0, low), "high": min(1.0, high)}
            seconds = float(np.mean([entry.seconds or 0 for entry in entries]))
            costs = {"parameters": entries[0].parameters, "multiply_adds": entries[0].multiply_adds}
            percents = {key: 100 * share for key, share in shares.items()}
            values.append({"recipe": row.recipe, **percents, **costs, "training_seconds": max(seconds, 0.1)})
    return [_trade_off(values, cost, title) for cost, title in COSTS.items()] if values else []


def _trade_off(values: list[dict[str, Any]], cost: str, title: str) -> Figure:
    points = "; ".join(f"{value['recipe']} {value['accuracy']:.1f} % at {value[cost]:.3g}" for value in values)
    chart = charts.accuracy_against(values, cost, title)
    return _figure(
        f"accuracy-against-{cost}", f"Accuracy against {title}", f"Accuracy against {title}: {points}", chart
    )


def class_scores(comparison: Comparison) -> Figure:
    """Draw the F1 of each class by recipe, the mean over seeds."""
    class_names = comparison.dataset.class_names
    recipes = [row.recipe for row in comparison.ranking]
    values = [
        {"recipe": recipe, "class": name} | _mean_scores(_scores(comparison, recipe, name))
        for recipe in recipes
        for name in class_names
    ]
    description = f"F1 of each class on the {comparison.ranked_on} images, by recipe; the mean over seeds"
    chart = charts.class_scores(values, recipes, class_names)
    return _figure("class-scores", "F1 of each class", description, chart)


def _scores(comparison: Comparison, recipe: str, class_name: str) -> list[ClassScores]:
    scored = [entry.metrics(comparison.ranked_on) for entry in comparison.scored(recipe)]
    return [found.per_class[class_name] for found in scored if found]


def _mean_scores(scores: list[ClassScores]) -> dict[str, float | None]:
    if not scores[0].images:
        return {"precision": None, "recall": None, "f1": None}
    return {key: float(np.mean([getattr(one, key) for one in scores])) for key in ("precision", "recall", "f1")}


def confusion_matrices(comparison: Comparison) -> list[Figure]:
    """Draw one confusion matrix per network, counts summed over seeds."""
    class_names = comparison.dataset.class_names
    made = []
    for row in comparison.ranking:
        if not row.is_baseline:
            scored = [entry.metrics(comparison.ranked_on) for entry in comparison.scored(row.recipe)]
            counts = np.sum([found.confusion for found in scored if found], axis=0)
            description = f"{row.recipe}: {_worst_confusion(counts, class_names)}"
            chart = charts.confusion_matrix(counts.tolist(), class_names)
            made.append(_figure(f"confusion-{row.recipe}", row.recipe, description, chart))
    return made


def _worst_confusion(counts: np.ndarray, class_names: Sequence[str]) -> str:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    if not shares.any():
        return "no image is misclassified"
    label, predicted = np.unravel_index(shares.argmax(), shares.shape)
    return (
        f"the most frequent confusion is {class_names[label]} predicted as {class_names[predicted]}, in "
        f"{100 * shares.max():.0f} % of its images"
    )


def calibration(models: Mapping[str, Predictions], split: str) -> list[Figure]:
    """Draw the reliability diagram and the risk-coverage curve of each recipe's first seed."""
    if not models:
        return []
    pairs = {recipe: (made.labels, made.probabilities) for recipe, made in models.items()}
    bins = {recipe: metrics.reliability(*pair) for recipe, pair in pairs.items()}
    curves = {recipe: metrics.risk_coverage(*pair) for recipe, pair in pairs.items()}
    errors = [f"{recipe} {metrics.expected_calibration_error(*pair):.3f}" for recipe, pair in pairs.items()]
    reliable = f"Accuracy against confidence on {split} images; expected calibration error: {', '.join(errors)}"
    halves = [f"{recipe} {100 * curve[len(curve) // 2 - 1].accuracy:.1f} %" for recipe, curve in curves.items()]
    covered = f"Accuracy of the most confident predictions on {split} images; of the upper half: {', '.join(halves)}"
    return [
        _figure("reliability", "Accuracy against confidence", reliable, charts.reliability(bins)),
        _figure("risk-coverage", "Accuracy against coverage", covered, charts.risk_coverage(curves)),
    ]


def class_maps(models: Mapping[str, ClassMaps], class_names: Sequence[str]) -> list[Figure]:
    """Draw the mean Grad-CAM map of each class, of each recipe's first seed."""
    made = []
    for recipe, found in models.items():
        maps = dict(zip(class_names, found.maps, strict=True))
        where = [f"{name} {_by_height(heatmap)}" for name, heatmap in maps.items()]
        correlation = float(found.rank_correlation)
        known = "unknown" if np.isnan(correlation) else f"{correlation:z.2f}"
        title = (
            f"{recipe}: up to {found.images.max()} {found.split} images per class; rank correlation with untrained "
            f"networks: {known}"
        )
        description = f"Where {recipe} looks for each class, by thirds of the image: {'; '.join(where)}"
        chart = charts.mean_maps({name: heatmap.tolist() for name, heatmap in maps.items()})
        made.append(_figure(f"explanation-{recipe}", title, description, chart))
    return made


def _by_height(heatmap: np.ndarray) -> str:
    shares = shares_by_height(heatmap)
    if shares is None:
        return "nowhere"
    return ", ".join(
        f"{part} {100 * share:.0f} %" for part, share in zip(("upper", "middle", "lower"), shares, strict=True)
    )
