"""Read tables of predictions."""

from pathlib import Path

import pyarrow
import pyarrow.parquet


def rows_of_table(path: Path) -> pyarrow.Table:
    """Read a table with its schema."""
    return pyarrow.parquet.read_table(path)


def rows_of_parts(folder: Path) -> pyarrow.Table:
    """Read all parts in the folder of a job, in the order of their names."""
    return pyarrow.concat_tables([rows_of_table(path) for path in sorted(folder.glob("part-*.parquet"))])
