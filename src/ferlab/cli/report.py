"""`ferlab report`."""

from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import ShowImagesOption
from ferlab.cli.output import print_ranking


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, also from other machines.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    images: ShowImagesOption = True,
) -> None:
    """Compare finished runs, and write the same report as `ferlab compare`.

    For example:

        ferlab report runs/newmodel-seed0 runs/newmodel-seed1 runs/mobilenetv2 --out comparison
    """
    comparison = ferlab.compare_runs(runs, out)
    report = ferlab.write_report(out, images=images)
    print_ranking(comparison)
    print(f"\nReport: {report}")
