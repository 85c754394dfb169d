"""Load the chart libraries when they are needed, and render charts as SVG."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from ferlab.errors import MissingExtraError


def load_charts() -> ModuleType:
    """Import `ferlab.report.charts`.

    Raises:
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    try:
        import vl_convert  # noqa: F401  # renders the charts

        from ferlab.report import charts
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluate", error.name or "altair") from None
    return charts


def render_chart(draw: Callable[[ModuleType], Any], description: str, width: int = 560) -> str:
    """Render a chart as SVG text.

    Args:
        draw: makes the chart; called with `ferlab.report.charts`.
        description: text for readers who cannot see the chart.
        width: width in pixels, unless the chart has its own.

    Raises:
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    charts = load_charts()
    return charts.render_svg(charts.specification(draw(charts), description), width)
