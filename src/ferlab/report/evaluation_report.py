"""Evaluation results as files: JSON, and their curves as SVG."""

from collections.abc import Sequence
from pathlib import Path

from ferlab.evaluation.robustness import Robustness
from ferlab.files import write_text
from ferlab.json_files import write_result
from ferlab.report.svg import render_chart
from ferlab.results import Evaluation


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write `evaluation.json`, `reliability.svg` and `risk_coverage.svg`.

    Args:
        evaluation: the result of `ferlab.evaluate`.
        folder: output folder; created if it is missing.

    Raises:
        OutputError: if a file cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    write_result(folder / "evaluation.json", evaluation)
    name, split = _label(evaluation.model, evaluation.selected_on), evaluation.split
    reliable = render_chart(
        lambda charts: charts.reliability({name: evaluation.reliability}), f"Reliability of {name} on {split} images"
    )
    covered = render_chart(
        lambda charts: charts.risk_coverage({name: evaluation.risk_coverage}),
        f"Accuracy of the most confident predictions of {name} on {split} images",
    )
    write_text(folder / "reliability.svg", reliable)
    write_text(folder / "risk_coverage.svg", covered)


def write_robustness(result: Robustness, folder: Path) -> None:
    """Write `robustness.json` and its curves as `robustness.svg`.

    Args:
        result: the result of `ferlab.evaluation.robustness.robustness`.
        folder: output folder; created if it is missing.

    Raises:
        OutputError: if a file cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    write_result(folder / "robustness.json", result)
    write_text(folder / "robustness.svg", render_robustness(result))


def render_robustness(result: Robustness) -> str:
    """Render the robustness curves as SVG text.

    Raises:
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    name = _label(result.model, result.selected_on)
    description = f"Accuracy of {name} on {result.split} images under corruptions of increasing strength"
    return render_chart(lambda charts: charts.robustness_curves(result), description)


def _label(model: str, selected_on: Sequence[str] | None) -> str:
    """Name a model, with the splits that it was selected on if the test split is one of them."""
    name, splits = Path(model).name, selected_on or ()
    return f"{name} (selected on {' and '.join(splits)})" if "test" in splits else name
