"""`ferlab sweep`."""

import json
from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import (
    BackendOption,
    DataOption,
    DataOptions,
    EngineOptions,
    JsonOption,
    PluginOption,
    QuietOption,
    ResumeOption,
    SeedOption,
    SetOption,
    load_plugins,
    parse_changes,
    stop,
)
from ferlab.cli.output import print_sweep
from ferlab.json_files import read_result, to_json
from ferlab.report import write_sweep
from ferlab.search.results import Sweep


def sweep(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe; see `ferlab recipes`.")],
    data: DataOption,
    space: Annotated[Path, typer.Option(metavar="FILE.toml", help="The fields to search, with ranges or values.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    trials: Annotated[int, typer.Option(help="Number of trials of the study, earlier ones included.", min=1)] = 20,
    study: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database of the study. [default: sqlite:///OUT/sweep.db]"),
    ] = None,
    seed: SeedOption = 0,
    set_: SetOption = None,
    resume: ResumeOption = False,
    backend: BackendOption = None,
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    running: EngineOptions,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Search the hyperparameters of a recipe, and write a report.

    The file `space.toml` names fields, as in `--set`, with ranges or lists of values:

        learning_rate = { min = 1e-4, max = 1e-2, log = true }

        batch_size = [32, 64, 128]

        augmentation.rotation = { min = 0.0, max = 20.0 }

    Optuna proposes the values, and stops bad trials early. Trials are scored on PublicTest, and PrivateTest is never
    read:

        ferlab sweep fair_newmodel --space space.toml --data fer2013.zip --trials 30 --out sweep

    Continue an interrupted sweep, or add a process or trials, with the same command and `--resume`. Train the best
    recipe with `--plugin sweep/best_recipe.py`.
    """
    load_plugins(plugin, backend)
    engine, dataset, changes = running.start(), reading.load(data), parse_changes(set_)
    try:
        found = ferlab.sweep(
            recipe,
            dataset,
            space,
            out,
            trials=trials,
            study=study,
            seed=seed,
            resume=resume,
            engine=engine,
            backend=backend,
            quiet=quiet,
            **changes,
        )
    except KeyboardInterrupt:
        if (out / "sweep.json").is_file():
            write_sweep(read_result(Sweep, out / "sweep.json"), out)
        stop(f"Interrupted. Resume with the same command and --resume --out {out}.")
    page = write_sweep(found, out)
    if json_:
        print(json.dumps(to_json(found)))
    else:
        print_sweep(found)
        print(f"\nReport: {page}")
    if not found.ranked():
        stop("No trial is completed.")
