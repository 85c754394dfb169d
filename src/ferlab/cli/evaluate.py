"""`ferlab evaluate`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import (
    ClassPriorOption,
    DataOption,
    DataOptions,
    JsonOption,
    PluginOption,
    SplitOption,
    load_plugins,
    parse_prior,
    print_skipped,
)
from ferlab.cli.output import print_metrics, print_paths
from ferlab.data import Dataset, is_own_images
from ferlab.data.unlabeled import is_unlabeled, load_unlabeled
from ferlab.evaluation.evaluate import predict_unlabeled, read_groups
from ferlab.json_files import SCHEMA, to_json
from ferlab.progress import console
from ferlab.report import write_evaluation


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run folder, a .keras, .onnx or .tflite file, a network in the package, or a .csv or .npz file of "
            "predictions.",
        ),
    ],
    data: DataOption,
    split: SplitOption = "validation",
    out: Annotated[
        Path | None, typer.Option(help="Output folder for JSON, a reliability diagram and a risk-coverage curve.")
    ] = None,
    json_: JsonOption = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="Also score the mean prediction over ten views (test-time augmentation).")
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(
            metavar="THRESHOLD", help="Also score the predictions with at least this confidence.", min=0, max=1
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Also score groups of images: a table with the columns name and group."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|FILE", help="Compare with another model or file of predictions on the same images."
        ),
    ] = None,
    class_prior: ClassPriorOption = None,
    write_predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the predictions as .csv or .npz.")
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Training images in which to find copies, if --data has none."),
    ] = None,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
) -> None:
    """Evaluate a model on one split: accuracy with its interval and without leaks, calibration, and class scores.

    For example:

        ferlab evaluate runs/newmodel --data fer2013.zip --split test --json

    The predictions of any other system are scored in the same way, from a .csv or .npz file with image names and
    classes or probabilities:

        ferlab evaluate predictions.csv --data fer2013.zip --against fer2013
    """
    load_plugins(plugin)
    if is_unlabeled(data):
        _reject_scoring(
            data,
            out=out,
            tta=tta,
            abstain=abstain,
            groups=groups,
            against=against,
            train_data=train_data,
            exclude=reading.exclude,
            ferplus=reading.ferplus,
            target=reading.target,
        )
        _predict_unlabeled(model, data, reading, write_predictions, json_, parse_prior(class_prior))
        return
    votes = None if train_data and is_own_images(data) else reading.ferplus  # otherwise they are for --train-data
    dataset = dataclasses.replace(reading, ferplus=votes).load(data, model, against)
    evaluation = ferlab.evaluate(
        model,
        dataset,
        split,
        training=_load_training(train_data, reading, model) if train_data else None,
        tta=tta,
        abstain=abstain,
        groups=read_groups(groups) if groups else None,
        against=against,
        class_prior=parse_prior(class_prior),
        write=write_predictions,
    )
    if Path(model).is_dir() and not evaluation.recorded and not class_prior:
        console().print(
            "The metrics were not saved in the run folder, because the run was trained on different splits."
        )
    if json_:
        print(json.dumps(to_json(evaluation)))
    else:
        print_metrics(evaluation)
    if out:
        write_evaluation(evaluation, out)
    if not json_:
        print_paths(Predictions=write_predictions, Evaluation=out)


def _reject_scoring(source: str, **options: object) -> None:
    """Reject options that need labels."""
    for name, value in options.items():
        if value not in (None, False):
            raise typer.BadParameter(
                f"{source} has no class folders, so its images have no labels to score.",
                param_hint=f"--{name.replace('_', '-')}",
            )


def _predict_unlabeled(
    model: str, source: str, reading: DataOptions, out: Path | None, json_: bool, class_prior: dict[str, float] | None
) -> None:
    """Write predictions on images without labels, which cannot be scored."""
    if out is None:
        raise typer.BadParameter(
            f"{source} has no class folders, so its images have no labels to score. Write predictions for them with "
            "--write-predictions FILE.",
            param_hint="--data",
        )
    images = load_unlabeled(source, faces=reading.faces, skip_bad=reading.skip_bad)
    print_skipped(images.skipped)
    predict_unlabeled(model, images, out, class_prior)
    reason = f"{source} has no labels"
    if json_:
        about = {"schema": SCHEMA, "model": model, "images": len(images.names), "predictions": str(out)}
        print(json.dumps(about | {"accuracy": None, "accuracy_reason": reason}))
        return
    print(f"Predictions for {len(images.names):,} images: {out}\nNo metrics: {reason}.")


def _load_training(source: str, reading: DataOptions, model: str) -> Dataset:
    """Load training images like the scored ones, except that FER2013's need no face detection."""
    faces = reading.faces and is_own_images(source)
    return dataclasses.replace(reading, faces=faces, exclude=None).load(source, model)
