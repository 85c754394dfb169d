"""Compare the published runs, and write the results files and the reports in the documentation.

    python docs/comparison.py fer2013.zip

The run folders hold no predictions: those are in `results/public_predictions/`, rounded to 16 bits.
"""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer
from blocks.common import RESULTS, ROOT

from ferlab import Dataset, Split, compare_runs, load_dataset, write_report
from ferlab.evaluation.predictions import read_predictions
from ferlab.files import write_text
from ferlab.json_files import to_json, write_json
from ferlab.recipes import Recipe, get_recipe
from ferlab.recipes.validation import flatten
from ferlab.results import Environment
from ferlab.run_arrays import Predictions
from ferlab.runs import RunFolder

NOTE = """
!!! note
    This is the report of `ferlab report`, without images of FER2013, whose terms forbid publishing them. The machines
    were busy with other work, so the times are not measurements. The [log](../log.md) has the details.
"""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A comparison to publish.

    Args:
        title: title of its report.
        suffix: of `results/runs` and `results/comparison`, and of its folder of predictions.
        report: folder of its report in the documentation.
        notes: what a reader must know, by recipe.
    """

    title: str
    suffix: str
    report: str
    notes: dict[str, str] = field(default_factory=dict)


PUBLISHED = (
    Published(
        title="The comparison on FER2013, 20 passes",
        suffix="",
        report="comparison",
        notes={"fair_mobilenetv2_imagenet": "ImageNet weights, reconstruction"},
    ),
    Published(
        title="The comparison on FER2013, 40 passes",
        suffix="_40_passes",
        report="comparison-40-passes",
        notes={"fair_vgg16_imagenet": "ImageNet weights, reconstruction"},
    ),
)


def main(data: Path) -> None:
    """Write the comparisons and their reports."""
    part = load_dataset(data).take(Split.VALIDATION)
    for published in PUBLISHED:
        _write(published, part)


def _write(published: Published, part: Dataset) -> None:
    """Write one comparison and its report."""
    sources = sorted((RESULTS / f"runs{published.suffix}").iterdir())
    predictions = RESULTS / "public_predictions" / published.suffix.removeprefix("_")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        runs = [_complete(path, predictions, part, out / "runs" / path.name) for path in sources]
        comparison = compare_runs([run.path for run in runs], out)
        stored = to_json(comparison) | {
            "histories": {run.path.name: [asdict(epoch) for epoch in run.history()] for run in runs},
            "environments": _distinct(run.environment() for run in runs),
            "backends": {run.path.name: run.environment().backend for run in runs},
            "notes": published.notes,
            "settings": {run.recipe().name: _changed(run.recipe()) for run in runs},
        }
        write_json(RESULTS / f"comparison{published.suffix}.json", stored)
        write_report(out, images=False)
        _publish(out, ROOT / "docs" / published.report, published.title)


def _complete(source: Path, predictions: Path, part: Dataset, target: Path) -> RunFolder:
    """Copy a run folder, and add its predictions on PublicTest."""
    shutil.copytree(source, target)
    probabilities = read_predictions(predictions / f"{source.name}.npz").aligned(part)
    run = RunFolder(target)
    run.write_predictions("validation", Predictions.on(part, probabilities))
    return run


def _changed(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe that differ from those that it has today, without those that are published otherwise.

    These are the number of epochs, and the file of a reconstruction, which others do not have.
    """
    settings, today = flatten(recipe.training_fields()), flatten(get_recipe(recipe.name).training_fields())
    elsewhere = ("epochs", "model.weights")
    return {name: value for name, value in settings.items() if value != today.get(name) and name not in elsewhere}


def _distinct(environments: Iterable[Environment]) -> list[dict[str, Any]]:
    """What differs between machines: versions, device and policy."""
    keys = ("python", "versions", "device", "cores", "policy")
    found = [{key: getattr(environment, key) for key in keys} for environment in environments]
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _publish(out: Path, report: Path, title: str) -> None:
    """Replace a report in the documentation."""
    shutil.rmtree(report, ignore_errors=True)
    shutil.copytree(out / "report-files", report / "report-files")
    _, _, text = (out / "report.md").read_text(encoding="utf-8").partition("\n")
    write_text(report / "report.md", f"# {title}\n{NOTE}{text}")


if __name__ == "__main__":
    typer.run(main)
