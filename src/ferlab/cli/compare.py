"""`ferlab compare`."""

from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import (
    BackendOption,
    CacheOption,
    DataOption,
    ExcludeOption,
    FacesOption,
    FerplusOption,
    PluginOption,
    QuietOption,
    ResumeOption,
    SetOption,
    SkipBadOption,
    changes_of,
    load,
    load_plugins,
    stop,
)
from ferlab.cli.output import (
    print_ranking,
)


def compare(
    recipes: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE|GROUP]...", help="Recipes or groups; see `ferlab recipes`.")
    ] = None,
    data: DataOption = "demo",
    seeds: Annotated[int, typer.Option(help="Trainings of each recipe, with seeds 0, 1, ...", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the comparison.")] = Path("comparison"),
    quick: Annotated[
        bool | None,
        typer.Option(
            "--quick/--full", help="A small budget to try things out. [default: quick on `demo`, full elsewhere]"
        ),
    ] = None,
    set_: SetOption = None,
    resume: ResumeOption = False,
    backend: BackendOption = None,
    ferplus: FerplusOption = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train and score several recipes, and write a comparison with a report.

    Without arguments it trains the study's four architectures on synthetic faces, on a small budget:

        ferlab compare

    On FER2013:

        ferlab compare study_newmodel fair_newmodel --data fer2013.zip --seeds 3 --out comparison
    """
    load_plugins(plugin, backend)
    dataset = load(data, skip_bad, cache, faces, exclude, ferplus)
    small = data == "demo" if quick is None else quick
    try:
        comparison = ferlab.compare(
            recipes or None,
            dataset,
            out,
            seeds=seeds,
            resume=resume,
            quick=small,
            backend=backend,
            quiet=quiet,
            **changes_of(set_),
        )
    except KeyboardInterrupt:
        stop(f"Interrupted. Go on with the same command and --resume --out {out}.")
    print_ranking(comparison)
    print(f"\nReport: {out / 'report.html'}")
    if all(entry["status"] == "failed" for entry in comparison["entries"] if entry["run"]):
        raise typer.Exit(1)
