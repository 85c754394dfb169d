"""`ferlab train`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import ferlab
from ferlab.cli.options import (
    BackendOption,
    DataOption,
    DataOptions,
    PluginOption,
    QuietOption,
    ResumeOption,
    SeedOption,
    SetOption,
    load_plugins,
    parse_changes,
    stop,
)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe; see `ferlab recipes`.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Output folder of the run.")],
    seed: SeedOption = 0,
    set_: SetOption = None,
    resume: ResumeOption = False,
    backend: BackendOption = None,
    devices: Annotated[
        Literal["one", "all"],
        typer.Option(help="`all`: divide each batch among all GPUs. Needs the backend jax."),
    ] = "one",
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train one recipe into a run folder.

    The model is trained on Training, and the best epoch is selected on PublicTest. PrivateTest is not used:

        ferlab train fair_newmodel --data fer2013.zip --out runs/newmodel --seed 1

    Resume an interrupted run with `--resume`. It ends with the same numbers as an uninterrupted run.
    """
    load_plugins(plugin, backend)
    dataset, changes = reading.load(data), parse_changes(set_)
    run = ferlab.train(
        recipe, dataset, out, seed=seed, resume=resume, backend=backend, devices=devices, quiet=quiet, **changes
    )
    result = run.result()
    if result is None or result.status == "interrupted":
        stop(f"Interrupted. Resume with the same command and --resume; complete epochs are kept in {out}.")
    print(f"Run folder: {out}")
