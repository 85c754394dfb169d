"""`ferlab audit`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ferlab.cli.options import (
    CacheOption,
    ExcludeOption,
    FacesOption,
    FerplusOption,
    JsonOption,
    PluginOption,
    SkipBadOption,
    SourceArgument,
    load,
    load_plugins,
)
from ferlab.cli.output import print_audit
from ferlab.progress import console
from ferlab.runs import SCHEMA


def audit(
    source: SourceArgument,
    ferplus: FerplusOption = None,
    model: Annotated[
        str | None,
        typer.Option(help="Find label errors with a model: a run folder, .keras or .onnx file, or `default`."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder for audit.html, audit.csv and audit.json.")] = Path("audit"),
    write_exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a list of images to exclude, for `--exclude`.")
    ] = None,
    keep: Annotated[
        Literal["test", "train"], typer.Option(help="Split that keeps an image found in several splits.")
    ] = "test",
    images: Annotated[
        bool, typer.Option(help="Show images in the report. The terms of FER2013 do not allow sharing them.")
    ] = True,
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Find copies, leaks across splits, non-face images, and doubtful labels.

        ferlab audit fer2013.zip --ferplus fer2013new.csv --model default --write-exclude exclude.txt

    To train and score without these images, pass `--exclude exclude.txt` to the other commands.
    """
    from ferlab import audit as auditing

    load_plugins(plugin)
    found = auditing.audit(load(source, skip_bad, cache, faces, exclude, ferplus), model)
    page = auditing.write_audit(found, out, images=images)
    if write_exclude:
        number = auditing.write_exclude(found, write_exclude, keep)
        console().print(f"{number:,} images to exclude: {write_exclude}", markup=False)
    if json_:
        print(json.dumps({"schema": SCHEMA, **found.summary.as_dict()}))
        return
    print_audit(found.summary)
    print(f"\nReport: {page}")
