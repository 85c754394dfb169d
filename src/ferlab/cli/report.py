"""`ferlab report`."""

from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.output import (
    print_ranking,
)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, wherever they were trained.")],
    out: Annotated[Path, typer.Option(help="Folder of the report.")],
    pictures: Annotated[
        bool, typer.Option(help="Show images of the data set. FER2013's terms forbid passing them on.")
    ] = True,
) -> None:
    """Compare finished runs, and write the same report as `ferlab compare`.

    ferlab report runs/newmodel-seed0 runs/newmodel-seed1 runs/mobilenetv2 --out comparison
    """
    from ferlab.report import write_report

    comparison = ferlab.compare_runs(runs, out)
    print_ranking(comparison)
    print(f"\nReport: {write_report(out, pictures=pictures)}")
