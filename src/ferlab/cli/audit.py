"""`ferlab audit`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ferlab import audit as auditing
from ferlab.cli.options import (
    DataOptions,
    JsonOption,
    PluginOption,
    ShowImagesOption,
    SourceArgument,
    load_plugins,
)
from ferlab.cli.output import print_audit
from ferlab.json_files import to_json
from ferlab.progress import console


def audit(
    source: SourceArgument,
    model: Annotated[
        str | None,
        typer.Option(
            help="Find label errors with a model: a run folder, a .keras, .onnx or .tflite file, or a network in the "
            "package."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder for audit.html, audit.csv and audit.json.")] = Path("audit"),
    write_exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a list of the images to exclude.")
    ] = None,
    keep: Annotated[
        Literal["test", "train"], typer.Option(help="Split that keeps an image that occurs in several splits.")
    ] = "test",
    images: ShowImagesOption = True,
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
) -> None:
    """Find copies, leaks across splits, non-face images, and doubtful labels.

    For example:

        ferlab audit fer2013.zip --ferplus fer2013new.csv --model fer2013 --write-exclude exclude.txt

    To train and score without these images, pass `--exclude exclude.txt` to the other commands.
    """
    load_plugins(plugin)
    found = auditing.audit(reading.load(source, model), model)
    page = auditing.write_audit(found, out, images=images)
    if write_exclude:
        number = auditing.write_exclude(found, write_exclude, keep)
        console().print(f"{number:,} images to exclude: {write_exclude}")
    if json_:
        print(json.dumps(to_json(found.summary)))
        return
    print_audit(found.summary)
    print(f"\nReport: {page}")
