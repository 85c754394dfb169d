"""Results of a model as files: its numbers as JSON, and its curves as pictures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ferlab.errors import MissingExtraError
from ferlab.files import write_atomically
from ferlab.runs import write_json

Result = Mapping[str, Any]


def write_evaluation(metrics: Result, folder: Path) -> None:
    """Writes `evaluation.json`, then `reliability.svg` and `risk_coverage.svg`.

    Args:
        metrics: as `ferlab.evaluate` returns them.
        folder: made where it is missing.

    Raises:
        RunError: if a file cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    write_json(folder / "evaluation.json", metrics)
    name, split = _marked(metrics), metrics["split"]
    reliable = _picture(
        lambda charts: charts.reliability({name: metrics["reliability"]}), f"Reliability of {name} on {split} images"
    )
    covered = _picture(
        lambda charts: charts.risk_coverage({name: metrics["risk_coverage"]}),
        f"Accuracy of the surest answers of {name} on {split} images",
    )
    _write(folder / "reliability.svg", reliable)
    _write(folder / "risk_coverage.svg", covered)


def write_robustness(result: Result, folder: Path) -> None:
    """Writes `robustness.json`, then the curves as `robustness.svg`.

    Args:
        result: as `ferlab.evaluation.robustness.robustness` returns it.
        folder: made where it is missing.

    Raises:
        RunError: if a file cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    write_json(folder / "robustness.json", result)
    _write(folder / "robustness.svg", robustness_picture(result))


def robustness_picture(result: Result) -> str:
    """The curves as SVG text.

    Raises:
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    description = f"Accuracy of {_marked(result)} on {result['split']} images under corruptions of growing strength"
    return _picture(lambda charts: charts.robustness_curves(result), description)


def _marked(result: Result) -> str:
    """The model's name, with the splits that it was selected on where the test split is one of them."""
    name, selected_on = Path(result["model"]).name, result["selected_on"] or ""
    return f"{name} (selected on {selected_on})" if "test" in selected_on.split("+") else name


def _picture(draw: Callable[[ModuleType], Any], description: str) -> str:
    try:
        import vl_convert  # noqa: F401

        from ferlab.report import charts
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluate", error.name or "altair") from None
    return charts.still_picture(charts.specification(draw(charts), description))


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
