"""A robustness score as files: its numbers, and its curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ferlab.errors import MissingExtraError
from ferlab.runs import write_atomically, write_json


def write_robustness(result: Mapping[str, Any], folder: Path) -> None:
    """Writes `robustness.json`, then the curves as `robustness.svg`.

    Args:
        result: as `ferlab.robustness.robustness` returns it.
        folder: made where it is missing.

    Raises:
        RunError: if a file cannot be written.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    write_json(folder / "robustness.json", result)
    picture = robustness_picture(result)
    write_atomically(folder / "robustness.svg", lambda file: file.write(picture.encode()))


def robustness_picture(result: Mapping[str, Any]) -> str:
    """The curves as SVG text.

    Raises:
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    try:
        import vl_convert  # noqa: F401

        from ferlab.report import charts
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluate", error.name or "altair") from None
    description = f"Accuracy of {result['model']} on {result['split']} images under corruptions of growing strength"
    return charts.still_picture(charts.specification(charts.robustness_curves(result), description))
