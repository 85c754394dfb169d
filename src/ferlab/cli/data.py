"""`ferlab data`: inspect datasets and download FER2013."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ferlab.cli.options import (
    DataOptions,
    JsonOption,
    SourceArgument,
)
from ferlab.cli.output import print_splits
from ferlab.data import Dataset
from ferlab.data.download import download
from ferlab.images.contact_sheet import Row, write_contact_sheet
from ferlab.json_files import SCHEMA, to_json
from ferlab.progress import console

SHEET_COLUMNS = 16  # images of each class on a contact sheet
MAX_LABEL_LENGTH = 30  # characters


def data_info(
    source: SourceArgument,
    json_: JsonOption = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (PNG) with images of every class.")] = None,
    *,
    reading: DataOptions,
) -> None:
    """Show the splits, class counts and fingerprints of a dataset.

    For example:

        ferlab data info fer2013.zip --sheet faces.png
    """
    dataset = reading.load(source)
    summary = dataset.summary()
    if sheet:
        write_sheet(dataset, sheet)
        console().print(f"contact sheet: {sheet}")
    if json_:
        splits = to_json(summary)["splits"]
        print(json.dumps({"schema": SCHEMA, "source": source, "splits": splits, "notes": dataset.notes}))
        return
    print_splits(summary)


def write_sheet(dataset: Dataset, path: Path) -> None:
    """Write a contact sheet with images of each class, evenly spaced over the dataset."""
    rows = []
    for label, name in enumerate(dataset.class_names):
        indices = np.flatnonzero(dataset.labels == label)
        chosen = np.linspace(0, len(indices) - 1, min(SHEET_COLUMNS, len(indices))).astype(int)
        rows.append(Row(label=name[:MAX_LABEL_LENGTH], images=list(dataset.images[indices[chosen]])))
    write_contact_sheet(path, rows)


def data_download() -> None:
    """Download FER2013 from Kaggle, without an account, and print its folder."""
    print(download())
