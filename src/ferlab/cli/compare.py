"""`ferlab compare`."""

from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import (
    BackendOption,
    DataOption,
    DataOptions,
    EngineOptions,
    PluginOption,
    QuietOption,
    ResumeOption,
    SetOption,
    load_plugins,
    parse_changes,
    stop,
)
from ferlab.cli.output import print_ranking


def compare(
    recipes: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE|GROUP]...", help="Recipes or groups; see `ferlab recipes`.")
    ] = None,
    data: DataOption = "demo",
    seeds: Annotated[int, typer.Option(help="Number of seeds per recipe: 0, 1, and so on.", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("comparison"),
    quick: Annotated[
        bool | None,
        typer.Option("--quick/--full", help="Use a small training budget. [default: on `demo` only]"),
    ] = None,
    set_: SetOption = None,
    resume: ResumeOption = False,
    backend: BackendOption = None,
    *,
    reading: DataOptions,
    running: EngineOptions,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train and score several recipes, and write a report.

    Without arguments, it trains the study's four architectures on synthetic faces with a small budget:

        ferlab compare

    On FER2013:

        ferlab compare study_newmodel fair_newmodel --data fer2013.zip --seeds 3 --out comparison
    """
    load_plugins(plugin, backend)
    try:
        comparison = ferlab.compare(
            recipes or None,
            reading.load(data),
            out,
            seeds=seeds,
            resume=resume,
            quick=data == "demo" if quick is None else quick,
            engine=running.start(),
            backend=backend,
            quiet=quiet,
            **parse_changes(set_),
        )
    except KeyboardInterrupt:
        if (out / "comparison.json").is_file():
            ferlab.write_report(out)
        stop(f"Interrupted. Resume with the same command and --resume --out {out}.")
    report = ferlab.write_report(out)
    print_ranking(comparison)
    print(f"\nReport: {report}")
    if all(entry.status == "failed" for entry in comparison.entries if entry.run):
        raise typer.Exit(1)
