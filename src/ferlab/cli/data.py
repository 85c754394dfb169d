"""`ferlab data`: look at data sets, and download FER2013."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import (
    DataOptions,
    JsonOption,
    SourceArgument,
)
from ferlab.cli.output import print_splits
from ferlab.progress import console
from ferlab.results import SCHEMA, to_json


def data_info(
    source: SourceArgument,
    json_: JsonOption = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet, a PNG with images of every class.")] = None,
    *,
    reading: DataOptions,
) -> None:
    """Show the splits, class counts and fingerprints of a data set."""
    dataset = reading.load(source)
    summary = dataset.summary()
    if sheet:
        from ferlab.data.contact_sheet import write_sheet

        write_sheet(dataset, sheet)
        console().print(f"contact sheet: {sheet}")
    if json_:
        splits = to_json(summary)["splits"]
        print(json.dumps({"schema": SCHEMA, "source": source, "splits": splits, "notes": dataset.notes}))
        return
    print_splits(summary)


def data_download() -> None:
    """Fetch FER2013 from Kaggle, without an account, and say where it lies."""
    from ferlab.data.download import download

    print(download())
