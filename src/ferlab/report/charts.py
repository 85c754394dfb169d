"""Charts as Vega-Lite specifications: interactive in the HTML report, SVG files in the Markdown report.

Altair builds them (https://altair-viz.github.io). The colors are the color-blind-safe palette of Okabe and Ito
(https://jfly.uni-koeln.de/color/); lines differ in their dashes, too.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ferlab.evaluation.robustness import CorruptionAccuracies, Robustness
from ferlab.results import CoveragePoint, ReliabilityBin

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"]
HEIGHT = 260
CELL = 34  # pixels, of a matrix
MAP_SIDE, MAP_GAP = 100, 0.1  # pixels from one heat map to the next, and the share of these that is a gap

Values = list[dict[str, Any]]


def learning_curves(epochs: Values, measure: str) -> alt.TopLevelMixin:
    """Draw training and validation accuracy or loss of one run over epochs.

    Args:
        epochs: `epoch, training, validation` for each epoch.
        measure: `accuracy` or `loss`.
    """
    long = [
        {"epoch": entry["epoch"], "images": part, measure: entry[part]}
        for entry in epochs
        for part in ("training", "validation")
    ]
    title = f"{measure}, %" if measure == "accuracy" else measure
    return _lines(long, measure, title, "images", ["training", "validation"])


def overlaid_curves(epochs: Values, measure: str, recipes: Sequence[str]) -> alt.TopLevelMixin:
    """Draw validation accuracy or loss of all runs over epochs, one color per recipe, one line per seed."""
    title = "validation accuracy, %" if measure == "accuracy" else "validation loss"
    return _lines(epochs, measure, title, "recipe", recipes)


def _lines(values: Values, measure: str, title: str, series: str, names: Sequence[str]) -> alt.TopLevelMixin:
    chosen = alt.selection_point(fields=[series], bind="legend", name="chosen")
    tooltip = [alt.Tooltip(f"{series}:N"), alt.Tooltip("epoch:Q"), alt.Tooltip(f"{measure}:Q", format=".3f")]
    if series == "recipe":
        tooltip.insert(1, alt.Tooltip("seed:N"))
    color = alt.Color(
        f"{series}:N",
        scale=_scale(names),
        legend=_legend(),
    )
    return (
        alt.Chart(alt.InlineData(values=values), height=HEIGHT, width="container")
        .mark_line(point=alt.OverlayMarkDef(size=30, filled=True))
        .encode(
            x=alt.X(
                "epoch:Q", axis=alt.Axis(values=_ticks(values), format="d", grid=False), scale=alt.Scale(nice=False)
            ),
            y=alt.Y(f"{measure}:Q", title=title, scale=alt.Scale(zero=False)),
            color=color,
            strokeDash=alt.StrokeDash(f"{series}:N", scale=alt.Scale(domain=list(names)), legend=None),
            detail="seed:N" if series == "recipe" else alt.Undefined,
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.12)),
            tooltip=tooltip,
        )
        .add_params(chosen)
    )


def _ticks(values: Values) -> list[int]:
    """Choose at most a dozen epochs as ticks."""
    last = max(value["epoch"] for value in values)
    return list(range(1, last + 1, math.ceil(last / 12)))


def accuracy_against(values: Values, cost: str, title: str) -> alt.TopLevelMixin:
    """Draw accuracy with its interval against a cost, on a logarithmic axis.

    Args:
        values: `recipe, accuracy, low, high` in percent, and the cost, one row per recipe.
        cost: name of the cost.
        title: title of its axis.
    """
    names = [value["recipe"] for value in values]
    axis = alt.Axis(format="~s", tickCount=4, labelOverlap="greedy", grid=False)
    base = alt.Chart(alt.InlineData(values=values), height=HEIGHT, width="container").encode(
        x=alt.X(f"{cost}:Q", title=title, scale=alt.Scale(type="log", padding=24), axis=axis),
        color=alt.Color("recipe:N", legend=_legend(), scale=_scale(names)),
        tooltip=["recipe:N", alt.Tooltip("accuracy:Q", format=".2f"), alt.Tooltip(f"{cost}:Q", format=",.4~s")],
    )
    scale = alt.Scale(zero=False)
    shape = alt.Shape("recipe:N", legend=_legend(), scale=alt.Scale(domain=names))
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        y=alt.Y("accuracy:Q", title="accuracy, %", scale=scale), shape=shape
    )
    return base.mark_rule().encode(y=alt.Y("low:Q", title="accuracy, %", scale=scale), y2="high:Q") + points


def ranked_intervals(values: Values) -> alt.TopLevelMixin:
    """Draw the accuracy of systems with its interval, best on top.

    Args:
        values: `system, accuracy, low, high` in percent, best first.
    """
    base = alt.Chart(alt.InlineData(values=values), height=CELL * len(values), width="container").encode(
        y=alt.Y("system:N", sort=[value["system"] for value in values], title=None, axis=alt.Axis(labelLimit=260)),
    )
    scale = alt.Scale(zero=False, nice=True)
    points = base.mark_point(filled=True, size=80, opacity=1, color=PALETTE[0]).encode(
        x=alt.X("accuracy:Q", title="accuracy, %", scale=scale)
    )
    return base.mark_rule(color=PALETTE[0]).encode(x=alt.X("low:Q", scale=scale), x2="high:Q") + points


def confusion_matrix(counts: Sequence[Sequence[int]], class_names: Sequence[str]) -> alt.TopLevelMixin:
    """Draw a confusion matrix: shares of each class as colors, with the counts on hover."""
    values = [
        {"true": true, "predicted": predicted, "images": row[column], "share": row[column] / max(1, sum(row))}
        for true, row in zip(class_names, counts, strict=True)
        for column, predicted in enumerate(class_names)
    ]
    return _matrix(values, ("predicted", list(class_names)), ("true", list(class_names)), "share", ["images:Q"])


def class_scores(values: Values, recipes: Sequence[str], class_names: Sequence[str]) -> alt.TopLevelMixin:
    """Draw the F1 of each class by recipe, with precision and recall on hover.

    Args:
        values: `recipe, class, f1, precision, recall`, 0..1.
        recipes: their order.
        class_names: their order.
    """
    more = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("precision", "recall")]
    return _matrix(values, ("class", list(class_names)), ("recipe", list(recipes)), "f1", more)


def _matrix(
    values: Values, across: tuple[str, list[str]], down: tuple[str, list[str]], value: str, more: list[Any]
) -> alt.TopLevelMixin:
    (column, columns), (row, rows) = across, down
    base = alt.Chart(alt.InlineData(values=values), height=CELL * len(rows), width="container").encode(
        x=alt.X(f"{column}:N", sort=columns, axis=alt.Axis(orient="top", labelAngle=-40, domain=False, ticks=False)),
        y=alt.Y(f"{row}:N", sort=rows, axis=alt.Axis(domain=False, ticks=False, labelLimit=220), title=None),
        tooltip=[f"{row}:N", f"{column}:N", alt.Tooltip(f"{value}:Q", format=".3f"), *more],
    )
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    cells = base.mark_rect().encode(color=alt.Color(f"{value}:Q", scale=scale, legend=None))
    dark = alt.condition(f"datum['{value}'] > 0.55", alt.value("#fff"), alt.value("#111"))
    return cells + base.mark_text(fontSize=11).encode(text=alt.Text(f"{value}:Q", format=".2f"), color=dark)


def mean_maps(maps: Mapping[str, Sequence[Sequence[float]]]) -> alt.TopLevelMixin:
    """Draw one small heatmap per class, in Viridis.

    Args:
        maps: rows of values, 0..1, by class. All share one color scale.
    """
    values = [
        {"class": name, "row": row, "column": column, "value": round(value, 3)}
        for name, rows in maps.items()
        for row, cells in enumerate(rows, start=1)
        for column, value in enumerate(cells, start=1)
    ]
    highest = max(value for rows in maps.values() for row in rows for value in row)
    axis = alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False)
    side = round(MAP_SIDE * (1 - MAP_GAP))  # one view for all maps: in a browser, Vega does not size several views
    return (
        alt.Chart(alt.InlineData(values=values), width=MAP_SIDE * len(maps), height=side)
        .mark_rect()
        .encode(
            x=alt.X(
                "class:N", sort=list(maps), title=None, axis=axis, scale=alt.Scale(padding=0, paddingInner=MAP_GAP)
            ),
            xOffset=alt.XOffset("column:O", scale=alt.Scale(padding=0)),
            y=alt.Y("row:O", axis=None, scale=alt.Scale(padding=0)),
            color=alt.Color("value:Q", scale=alt.Scale(domain=[0, max(highest, 1e-9)], scheme="viridis"), legend=None),
            tooltip=["class:N", alt.Tooltip("value:Q", format=".2f")],
        )
    )


def reliability(bins: Mapping[str, Sequence[ReliabilityBin]]) -> alt.TopLevelMixin:
    """Draw accuracy against confidence, with the diagonal of perfect calibration.

    Args:
        bins: bins by model, as `ferlab.evaluation.metrics.reliability` returns them.
    """
    values = [
        {"model": name, "images": row.images, "confidence": 100 * row.confidence, "accuracy": 100 * row.accuracy}
        for name, rows in bins.items()
        for row in rows
    ]
    scale = alt.Scale(domain=[0, 100])
    diagonal = (
        alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 100}]), height=HEIGHT, width="container")
        .mark_line(color=PALETTE[-1], strokeDash=[4, 4])
        .encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale))
    )
    axes = (alt.X("confidence:Q", title="confidence, %", scale=scale), alt.Y("accuracy:Q", title="accuracy, %"))
    return diagonal + _by_model(values, axes, list(bins), ["images:Q"])


def risk_coverage(curves: Mapping[str, Sequence[CoveragePoint]]) -> alt.TopLevelMixin:
    """Draw the accuracy of the most confident predictions against their share of the images.

    Args:
        curves: points by model, as `ferlab.evaluation.metrics.risk_coverage` returns them.
    """
    values = [
        {"model": name} | {key: 100 * getattr(row, key) for key in ("coverage", "accuracy", "threshold")}
        for name, rows in curves.items()
        for row in rows
    ]
    axes = (
        alt.X("coverage:Q", title="coverage, % of the images"),
        alt.Y("accuracy:Q", title="accuracy, %", scale=alt.Scale(zero=False)),
    )
    return _by_model(values, axes, list(curves), [alt.Tooltip("threshold:Q", format=".1f")])


def _by_model(values: Values, axes: tuple[alt.X, alt.Y], names: list[str], more: list[Any]) -> alt.Chart:
    """Draw lines with points, one color per model."""
    across, up = axes
    return (
        alt.Chart(alt.InlineData(values=values), height=HEIGHT, width="container")
        .mark_line(point=alt.OverlayMarkDef(size=30, filled=True))
        .encode(
            x=across,
            y=up,
            color=alt.Color("model:N", scale=_scale(names), legend=_legend()),
            tooltip=["model:N", *(alt.Tooltip(axis.shorthand, format=".1f") for axis in axes), *more],
        )
    )


def robustness_curves(result: Robustness) -> alt.TopLevelMixin:
    """Draw accuracy over the strengths of each corruption, with the clean accuracy as a dashed line.

    Args:
        result: the result of `ferlab.evaluation.robustness.robustness`.
    """
    clean = result.clean_accuracy
    highest = max([clean, *(share for row in result.corruptions.values() for share in row.accuracies)])
    scale = alt.Scale(domain=[0, 100 * highest])
    panels = [_robustness_panel(name, row, clean, scale) for name, row in result.corruptions.items()]
    return alt.concat(*panels, columns=5, spacing={"row": 24, "column": 16})


def _robustness_panel(name: str, row: CorruptionAccuracies, clean: float, scale: alt.Scale) -> alt.LayerChart:
    strengths = ["clean", *(f"{strength:g}" for strength in row.strengths)]
    values = [
        {"strength": strength, "accuracy": 100 * share, "clean": 100 * clean}
        for strength, share in zip(strengths, [clean, *row.accuracies], strict=True)
    ]
    base = alt.Chart(alt.InlineData(values=values), title=name.replace("_", " "), width=130, height=110)
    y = alt.Y("accuracy:Q", title="accuracy, %", scale=scale, axis=alt.Axis(tickCount=4))
    x = alt.X("strength:N", title=row.unit, sort=strengths, axis=alt.Axis(labelAngle=-40))
    points = alt.OverlayMarkDef(size=30, filled=True, color=PALETTE[0])
    curve = base.mark_line(point=points, color=PALETTE[0]).encode(x=x, y=y)
    return base.mark_rule(color=PALETTE[-1], strokeDash=[4, 4]).encode(y=alt.Y("clean:Q", scale=scale)) + curve


def sweep_history(values: Values) -> alt.TopLevelMixin:
    """Draw the accuracy of each trial of a sweep, and the best one so far.

    Args:
        values: `trial, status, accuracy, best` for each trial, accuracies in percent; `best` is None before the first
            completed trial.
    """
    statuses = ["completed", "pruned"]
    base = alt.Chart(alt.InlineData(values=values), height=HEIGHT, width="container").encode(
        x=alt.X("trial:Q", axis=alt.Axis(format="d", tickMinStep=1, grid=False), scale=alt.Scale(nice=False, padding=8))
    )
    best = base.mark_line(interpolate="step-after", color=PALETTE[6]).encode(
        y=alt.Y("best:Q", title="validation accuracy, %", scale=alt.Scale(zero=False))
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        y=alt.Y("accuracy:Q", scale=alt.Scale(zero=False)),
        color=alt.Color("status:N", scale=_scale(statuses), legend=_legend()),
        shape=alt.Shape("status:N", scale=alt.Scale(domain=statuses), legend=_legend()),
    )
    return best + points


def parallel_coordinates(values: Values, ends: Mapping[str, tuple[str, str]]) -> alt.TopLevelMixin:
    """Draw one line per trial over the searched fields and the accuracy, colored by accuracy.

    Args:
        values: `trial, field, position, accuracy` for each trial and field; positions 0..1, accuracies in percent.
        ends: texts at the lower and upper end of each field's axis, in the order of the axes.
    """
    x = alt.X("field:N", sort=list(ends), title=None, axis=alt.Axis(labelAngle=0, domain=False, ticks=False, offset=18))
    y = alt.Y("position:Q", axis=None, scale=alt.Scale(domain=[0, 1]))
    color = alt.Color(
        "accuracy:Q", scale=alt.Scale(scheme="viridis", zero=False), legend=alt.Legend(title="accuracy, %")
    )
    lines = (
        alt.Chart(alt.InlineData(values=values), height=HEIGHT, width="container")
        .mark_line(opacity=0.8)
        .encode(x=x, y=y, color=color, detail="trial:N", order=alt.Order("order:Q"))
    )
    marks = [
        {"field": field, "position": position, "text": text}
        for field, texts in ends.items()
        for position, text in enumerate(texts)
    ]
    axes = (
        alt.Chart(alt.InlineData(values=[{"field": field, "low": 0, "high": 1} for field in ends]))
        .mark_rule(color=PALETTE[6])
        .encode(x=x, y=alt.Y("low:Q", axis=None, scale=alt.Scale(domain=[0, 1])), y2="high:Q")
    )
    texts = alt.Chart(alt.InlineData(values=marks)).encode(x=x, y=y, text="text:N")
    low = texts.transform_filter("datum.position == 0").mark_text(dy=10)
    high = texts.transform_filter("datum.position == 1").mark_text(dy=-8)
    return axes + lines + low + high


def importances(shares: Mapping[str, float]) -> alt.TopLevelMixin:
    """Draw the importance of each field as a bar, most important on top."""
    values = [{"field": field, "importance": share} for field, share in shares.items()]
    return (
        alt.Chart(alt.InlineData(values=values), height=CELL * len(values), width="container")
        .mark_bar(color=PALETTE[0])
        .encode(
            x=alt.X("importance:Q", title="share of the variance of the accuracy", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("field:N", sort=list(shares), title=None, axis=alt.Axis(labelLimit=220)),
        )
    )


def colors(names: Sequence[str]) -> dict[str, str]:
    """Assign a color to each name, in order; they repeat from the eighth."""
    return {name: PALETTE[position % len(PALETTE)] for position, name in enumerate(names)}


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", title=None, columns=2, columnPadding=24, labelLimit=400)


def _scale(names: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=list(colors(names).values()))


def specification(chart: alt.TopLevelMixin, description: str) -> Mapping[str, Any]:
    """Convert a chart to a JSON object, with a description for readers who cannot see it."""
    spec = chart.to_dict()
    spec.pop("$schema")
    spec["description"] = description
    spec["background"] = "transparent"
    fits = not isinstance(chart, alt.ConcatChart)  # charts side by side have their own widths
    spec["autosize"] = {"type": "fit-x" if fits else "pad", "contains": "padding"}
    spec["config"] = {"view": {"stroke": None}, "axis": {"labelFontSize": 11, "titleFontWeight": "normal"}}
    return spec


def render_svg(spec: Mapping[str, Any], width: int = 560) -> str:
    """Render a specification as SVG text on white, `width` pixels wide unless its charts have their own widths."""
    import vl_convert

    fixed = spec["width"] if isinstance(spec.get("width"), int) else width
    return vl_convert.vegalite_to_svg({**spec, "width": fixed, "background": "white"})
