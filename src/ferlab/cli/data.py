"""`ferlab data`: look at data sets, and download FER2013."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import (
    CacheOption,
    ExcludeOption,
    FacesOption,
    JsonOption,
    SkipBadOption,
    SourceArgument,
    load,
)
from ferlab.cli.output import print_splits
from ferlab.progress import console
from ferlab.runs import SCHEMA


def data_info(
    source: SourceArgument,
    json_: JsonOption = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet, a PNG with images of every class.")] = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
) -> None:
    """Show the splits, class counts and fingerprints of a data set."""
    dataset = load(source, skip_bad, cache, faces, exclude)
    splits = dataset.summary()
    if sheet:
        from ferlab.data.contact_sheet import write_sheet

        write_sheet(dataset, sheet)
        console().print(f"contact sheet: {sheet}")
    if json_:
        print(json.dumps({"schema": SCHEMA, "source": source, "splits": splits, "notes": dataset.notes}))
        return
    print_splits(dataset.class_names, splits)


def data_download() -> None:
    """Fetch FER2013 from Kaggle, without an account, and say where it lies."""
    from ferlab.data.download import download

    print(download())
