"""`ferlab train`."""

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
    SeedOption,
    SetOption,
    SkipBadOption,
    changes_of,
    load,
    load_plugins,
    stop,
)


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe; see `ferlab recipes`.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The run folder.")],
    seed: SeedOption = 0,
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
    """Train one recipe into a run folder.

    Gradients come from Training, the best epoch is chosen on PublicTest, and PrivateTest is not looked at:

        ferlab train fair_newmodel --data fer2013.zip --out runs/newmodel --seed 1

    A run that was killed goes on with `--resume` and ends with the same numbers as an unbroken one.
    """
    load_plugins(plugin, backend)
    dataset = load(data, skip_bad, cache, faces, exclude, ferplus)
    run = ferlab.train(recipe, dataset, out, seed=seed, resume=resume, backend=backend, quiet=quiet, **changes_of(set_))
    result = run.result()
    if result is None or result["status"] == "interrupted":
        stop(f"Interrupted. Go on with the same command and --resume; finished epochs are kept in {out}.")
    print(f"Run folder: {out}")
