"""`ferlab audit`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ferlab.cli.options import (
    DataOptions,
    JsonOption,
    PluginOption,
    SourceArgument,
    load_plugins,
)
from ferlab.cli.output import print_audit
from ferlab.progress import console
from ferlab.results import SCHEMA


def audit(
    source: SourceArgument,
    model: Annotated[
        str | None,
        typer.Option(help="Let a model dispute labels: a run folder, .keras or .onnx file, or `default`."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of audit.html, audit.csv and audit.json.")] = Path("audit"),
    write_exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List the images that are better left out, for `--exclude`.")
    ] = None,
    keep: Annotated[
        Literal["test", "train"], typer.Option(help="Which side keeps an image that two splits share.")
    ] = "test",
    pictures: Annotated[
        bool, typer.Option(help="Show images of the data set. FER2013's terms forbid passing them on.")
    ] = True,
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
) -> None:
    """Look for copies, leaks across splits, pictures that are none, and doubtful labels.

        ferlab audit fer2013.zip --ferplus fer2013new.csv --model default --write-exclude exclude.txt

    Train and score without what it found, by `--exclude exclude.txt` on every other command.
    """
    from ferlab import audit as auditing

    load_plugins(plugin)
    found = auditing.audit(reading.load(source), model)
    page = auditing.write_audit(found, out, images=pictures)
    if write_exclude:
        number = auditing.write_exclude(found, write_exclude, keep)
        console().print(f"{number:,} images to leave out: {write_exclude}", markup=False)
    if json_:
        print(json.dumps({"schema": SCHEMA, **found.summary}))
        return
    print_audit(found.summary)
    print(f"\nReport: {page}")
