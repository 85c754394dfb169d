"""Commands that train, compare and score models."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import ferlab
from ferlab.cli.options import (
    BackendOption,
    CacheOption,
    DataOption,
    ExcludeOption,
    FacesOption,
    FerplusOption,
    JsonOption,
    ModelArgument,
    PluginOption,
    QuietOption,
    ResumeOption,
    SeedOption,
    SetOption,
    SkipBadOption,
    SplitOption,
    changes_of,
    load,
    load_plugins,
    stop,
)
from ferlab.data import Dataset, pictures
from ferlab.models import model_names, model_options, model_summary
from ferlab.progress import console
from ferlab.recipes import get_recipe, recipe_groups
from ferlab.runs import SCHEMA
from ferlab.tables import (
    print_metrics,
    print_models,
    print_ranking,
    print_recipe,
    print_recipes,
    print_robustness,
    recipe_row,
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

    Without arguments it trains the study's four architectures on drawn faces, on a small budget:

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


def evaluate(
    model: ModelArgument,
    data: DataOption,
    split: SplitOption = "validation",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the result, with a reliability diagram and a risk-coverage curve.")
    ] = None,
    json_: JsonOption = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="Score the mean answer to ten views of each image as well.")
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(metavar="THRESHOLD", help="Score only the answers that are this probable as well.", min=0, max=1),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Compare groups of images that a table (name, group) tells apart."),
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Where the training images are, if SOURCE has none: to find copies."),
    ] = None,
    ferplus: FerplusOption = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Score a model on one split: accuracy with its interval and without leaks, calibration, and every class's scores.

    ferlab evaluate runs/newmodel --data fer2013.zip --split test --json
    """
    from ferlab.evaluation import read_groups

    load_plugins(plugin)
    metrics = ferlab.evaluate(
        model,
        load(data, skip_bad, cache, faces, exclude, ferplus),
        split,
        training=_training_images(train_data, skip_bad, cache, faces) if train_data else None,
        tta=tta,
        abstain=abstain,
        groups=read_groups(groups) if groups else None,
    )
    if Path(model).is_dir() and not metrics["recorded"]:
        console().print("Not written into the run folder: its splits hold other images than these.")
    if json_:
        print(json.dumps(metrics))
    else:
        print_metrics(metrics)
    if out:
        from ferlab.report import write_evaluation

        write_evaluation(metrics, out)


def _training_images(source: str, skip_bad: bool, cache: bool, faces: bool) -> Dataset:
    """Photographs' faces are to be found in them as in those that are scored; FER2013's images are faces already."""
    return load(source, skip_bad, cache, faces and pictures.matches(Path(source)), None)


def robustness(
    model: ModelArgument,
    data: DataOption,
    split: SplitOption = "validation",
    out: Annotated[Path | None, typer.Option(help="Folder for the numbers, their curves and a contact sheet.")] = None,
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Score a model on pictures made worse: ten corruptions, such as blur or a badly cut face, in five strengths.

    ferlab robustness default --data fer2013.zip --out robustness
    """
    from ferlab.robustness import robustness as score_robustness
    from ferlab.robustness import write_sheet

    load_plugins(plugin)
    dataset = load(data, skip_bad, cache, faces, exclude)
    if out:
        write_sheet(out / "robustness.png")  # before the long work, so that a bad --out is told at once
    result = score_robustness(model, dataset, split, quiet=quiet)
    if json_:
        print(json.dumps(result))
    else:
        print_robustness(result)
    if out:
        from ferlab.report import write_robustness

        write_robustness(result, out)


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


def models(json_: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the architectures: their options, and their sizes in each recipe."""
    load_plugins(plugin)
    recipes = [get_recipe(recipe) for group in recipe_groups().values() for recipe in group]
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "summary": model_summary(name),
            "options": model_options(name),
            "recipes": [recipe.name for recipe in recipes if recipe.architecture == name],
        }
        for name in model_names()
    ]
    if json_:
        print(json.dumps({"schema": SCHEMA, "models": rows}, default=str))
        return
    print_models(rows)


def recipes(
    name: Annotated[str | None, typer.Argument(help="One recipe, with all its fields.")] = None,
    json_: JsonOption = False,
    plugin: PluginOption = None,
) -> None:
    """List the recipes: parameters, multiply-adds, accuracy and time to expect on FER2013, and the command."""
    load_plugins(plugin)
    if name and json_:
        print(json.dumps({"schema": SCHEMA, **recipe_row(name), "fields": get_recipe(name).as_dict()}))
        return
    if name:
        print_recipe(name)
        return
    rows = [recipe_row(recipe) for group in recipe_groups().values() for recipe in group]
    if json_:
        print(json.dumps({"schema": SCHEMA, "recipes": rows}))
        return
    print_recipes(rows)
