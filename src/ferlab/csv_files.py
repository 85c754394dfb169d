"""Read CSV tables within limits, and guard their cells against spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ferlab.errors import reason_of
from ferlab.files import open_regular
from ferlab.limits import MAX_ROW

ENCODING = "utf-8-sig"  # with or without the byte order mark that spreadsheets write
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula


def read_rows(file: IO[str], max_characters: int | None = None) -> Iterator[list[str]]:
    """Yield the rows of a table, with its header; empty lines are empty rows.

    Args:
        file: the table, opened with `newline=""`.
        max_characters: limit for the whole table; None for no limit.

    Raises:
        csv.Error: if a row or the table is longer than its limit.
    """
    in_row = in_table = 0

    def lines() -> Iterator[str]:
        nonlocal in_row, in_table
        while line := file.readline(MAX_ROW + 1):
            in_row += len(line)
            in_table += len(line)
            if in_row > MAX_ROW:
                raise csv.Error(f"a row has more than {MAX_ROW:,} characters")
            if max_characters and in_table > max_characters:
                raise csv.Error(f"it inflates to more than {max_characters:,} characters")
            yield line

    for row in csv.reader(lines()):
        in_row = 0
        yield row


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table with a header.

    Returns:
        The column names, and the rows as a mapping from column to cell.

    Raises:
        ValueError: with the reason, if the file cannot be read, or a row has another number of cells than the header.
    """
    try:
        with open_regular(path) as binary, io.TextIOWrapper(binary, encoding=ENCODING, newline="") as file:
            rows = read_rows(file)
            columns = next(rows, [])
            return columns, [_as_dict(columns, row, number) for number, row in enumerate(rows, start=2) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(reason_of(error)) from None


def _as_dict(columns: list[str], row: list[str], number: int) -> dict[str, str]:
    if len(row) != len(columns):
        raise ValueError(f"row {number} has {len(row)} cells, expected {len(columns)}")
    return dict(zip(columns, row, strict=True))


class TableWriter:
    """Writes rows with `\n` at their ends, for `read_rows`.

    `csv.writer` does not quote `\r` with this ending before Python 3.13, and readers take it for the end of a row.

    Args:
        file: the output file.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file, self._line = file, io.StringIO()
        self._writer = csv.writer(self._line, lineterminator="\r\n")

    def write(self, cells: Iterable[object]) -> None:
        """Write a row."""
        self._line.seek(0)
        self._line.truncate()
        self._writer.writerow(cells)
        self._file.write(self._line.getvalue().removesuffix("\r\n") + "\n")


def guarded(text: str) -> str:
    """Return a file name as a cell that no spreadsheet takes for a formula: `=1+1.jpg` as `./=1+1.jpg`.

    The cell names the same file; `unguarded` returns the name.
    """
    return f"./{text}" if text.startswith(FORMULA_STARTS) else text


def unguarded(cell: str) -> str:
    """Return the text of a guarded cell."""
    plain = cell.removeprefix("./")
    return plain if plain.startswith(FORMULA_STARTS) else cell
