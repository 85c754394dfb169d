"""Compare the runs in `results/runs`, and write `results/comparison.json` and the report in `docs/comparison/`.

    python docs/comparison.py fer2013.zip

The run folders hold no predictions: those are in `results/public_predictions/`, rounded to 16 bits.
"""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from blocks.common import RESULTS, ROOT

from ferlab import Dataset, Split, compare_runs, load_dataset, write_report
from ferlab.evaluation.predictions import read_predictions
from ferlab.files import write_text
from ferlab.json_files import to_json, write_json
from ferlab.results import Environment
from ferlab.runs import Predictions, RunFolder

REPORT = ROOT / "docs" / "comparison"
TITLE = """# The comparison on FER2013

!!! note
    This is the report of `ferlab report`, without images of FER2013, whose terms forbid publishing them. The machines
    were busy with other work, so the times are not measurements. The [log](../log.md) has the details.
"""


def main(data: Path) -> None:
    """Write the comparison and its report."""
    part = load_dataset(data).take(Split.VALIDATION)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        runs = [_complete(path, part, out / "runs" / path.name) for path in sorted((RESULTS / "runs").iterdir())]
        comparison = compare_runs([run.path for run in runs], out)
        stored = to_json(comparison) | {
            "histories": {run.path.name: [asdict(epoch) for epoch in run.history()] for run in runs},
            "environments": _distinct(run.environment() for run in runs),
            "notes": {},
            "settings": {},
        }
        write_json(RESULTS / "comparison.json", stored)
        write_report(out, images=False)
        _publish(out)


def _complete(source: Path, part: Dataset, target: Path) -> RunFolder:
    """Copy a run folder, and add its predictions on PublicTest."""
    shutil.copytree(source, target)
    probabilities = read_predictions(RESULTS / "public_predictions" / f"{source.name}.npz").aligned(part)
    run = RunFolder(target)
    run.write_predictions("validation", Predictions.on(part, probabilities))
    return run


def _distinct(environments: Iterable[Environment]) -> list[dict[str, Any]]:
    """What differs between machines: versions, device and policy."""
    keys = ("python", "versions", "device", "cores", "policy")
    found = [{key: getattr(environment, key) for key in keys} for environment in environments]
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _publish(out: Path) -> None:
    """Replace the report in the documentation."""
    shutil.rmtree(REPORT, ignore_errors=True)
    shutil.copytree(out / "report-files", REPORT / "report-files")
    _, _, text = (out / "report.md").read_text(encoding="utf-8").partition("\n")
    write_text(REPORT / "report.md", TITLE + text)


if __name__ == "__main__":
    typer.run(main)
