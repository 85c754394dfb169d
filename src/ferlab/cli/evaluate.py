"""`ferlab evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import (
    CacheOption,
    DataOption,
    ExcludeOption,
    FacesOption,
    FerplusOption,
    JsonOption,
    ModelArgument,
    PluginOption,
    SkipBadOption,
    SplitOption,
    load,
    load_plugins,
)
from ferlab.cli.output import (
    print_metrics,
)
from ferlab.data import Dataset, image_folder
from ferlab.progress import console


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
    from ferlab.evaluation.evaluate import read_groups

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
    return load(source, skip_bad, cache, faces and image_folder.matches(Path(source)), None)
