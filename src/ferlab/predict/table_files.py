"""Write the prediction table as CSV, JSON lines, Parquet or text, and resume it."""

import csv
import io
import json
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ferlab.csv_files import TableWriter, guarded, read_rows, unguarded
from ferlab.errors import MissingExtraError, OutputError
from ferlab.files import make_folder, remove_abandoned, temporary_path, write_atomically
from ferlab.formatting import printable
from ferlab.predict.job import Job
from ferlab.predict.table import LEADING_COLUMNS, TRAILING_COLUMNS, Row, columns

FORMATS = ("csv", "jsonl", "parquet")
PART_SUFFIX = ".part.jsonl"  # of the file that holds the rows of a Parquet file until all are there
CHUNK = 10_000  # rows of a Parquet file that are in memory at a time
SOURCE_WIDTH = 36  # characters of the source in printed rows


class RowWriter(ABC):
    """Writes rows one source at a time. Use it as a context manager.

    Args:
        path: the output file; None for standard output.
        names: the column names.
        job: the job whose table this is, to resume it now or later; None for a table that cannot be resumed.

    Attributes:
        done: the sources that the existing file contains. The rows of the last source may be incomplete: if it belongs
            to the job, they are removed, and the source is not in `done`. So are error rows that the job repeats.
        failed: those of `done` that belong to the job and could not be read.
        started: when the job began, in seconds since 1970; infinite for one that begins now.

    Raises:
        OutputError: if the file cannot be written, exists and is not to be resumed, was written with other settings, or
            is not a table with these columns.
    """

    def __init__(self, path: Path | None, names: Sequence[str], job: Job | None = None) -> None:
        self.path, self.names, self.job = path, tuple(names), job
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.started = math.inf
        self._empty = False  # a new file without rows
        if path is None:
            self._open_standard_output()
        else:
            self._open_file(path)

    def _open_standard_output(self) -> None:
        self.file: IO[str] = sys.stdout
        if isinstance(self.file, io.TextIOWrapper):  # file names can contain characters that a terminal cannot show
            self.file.reconfigure(errors="backslashreplace")
        self._write_header()

    def _open_file(self, path: Path) -> None:
        make_folder(path.parent)
        remove_abandoned(path.parent)
        if self.job and self.job.resume and path.is_file():
            self.job.check()
            self.started = self.job.file.stat().st_mtime
            self._keep_complete_sources(path, self.job)
        elif path.exists():
            hint = (
                "Resume it with --resume, or choose another --out."
                if self.job
                else "Remove it, or choose another --out."
            )
            raise OutputError(f"{path} already exists. {hint}")
        else:
            self._empty = True
            if self.job:
                self.job.write()
        try:
            self.file = _open(path, "x" if self._empty else "a")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}. Choose another --out.") from None
        if self._empty:
            self._write_header()

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.path is None:
            return
        try:
            self.file.close()
        except OSError as failure:
            if error is None:
                raise self._write_error(failure) from None
        if error and self._empty:
            self.path.unlink()
            if self.job:
                self.job.file.unlink(missing_ok=True)

    def write(self, rows: Iterable[Row]) -> None:
        """Write the rows of one source and flush them.

        Raises:
            OutputError: if the file cannot be written, for example because the disk is full.
        """
        self._empty = False
        try:
            self._write(rows)
            self.file.flush()
        except OSError as error:
            if self.path is None:  # such as a closed pipe, which the command line handles
                raise
            raise self._write_error(error) from None

    def _write_error(self, error: OSError) -> OutputError:
        hint = "rerun the command with --resume" if self.job else "remove the file, and rerun the command"
        return OutputError(f"{self.path} cannot be written: {error.strerror}. Free space, then {hint}.")

    def _write_header(self) -> None:  # noqa: B027  # most formats have no header
        """Write what precedes the rows."""

    @abstractmethod
    def _write(self, rows: Iterable[Row]) -> None: ...

    @abstractmethod
    def _read(self, file: IO[str]) -> Iterator[Row]:
        """Yield the complete rows of a file."""

    def _keep_complete_sources(self, path: Path, job: Job) -> None:
        """Collect the sources of an existing table, and remove the rows that the job writes again."""
        temporary = temporary_path(path.parent)
        try:
            with _open(path, "r") as old, _open(temporary, "w") as self.file:
                self._write_header()
                rows: list[Row] = []
                for source, group in groupby(self._read(old), key=self._source):
                    self._write(rows)
                    rows = list(group)
                    failed = source in job.sources and rows[0]["status"] == "error"
                    if failed and job.retry_errors:
                        rows = []
                        continue
                    self.done.add(source)
                    if failed:
                        self.failed.add(source)
                if rows and rows[0]["source"] not in job.sources:
                    self._write(rows)
                elif rows:
                    self.done.discard(rows[0]["source"])
                    self.failed.discard(rows[0]["source"])
                self.file.flush()
                os.fsync(self.file.fileno())
            temporary.replace(path)
        except (OSError, ValueError, csv.Error) as error:
            raise OutputError(f"{path} cannot be resumed: {error}. Choose another --out.") from None
        finally:
            temporary.unlink(missing_ok=True)

    def _source(self, row: Row) -> str:
        self._check_columns(row)
        return row["source"]

    def _check_columns(self, names: Iterable[str]) -> None:
        if tuple(names) != self.names:
            raise OutputError(f"The columns of {self.path} are not those of this model. Choose another --out.")


class CsvWriter(RowWriter):
    """Writes comma-separated values with a header.

    A file name such as `=1+1.jpg` would be a formula in a spreadsheet. It is written as `./=1+1.jpg`, which names the
    same file, and so is a reason that begins with it.
    """

    def _write_header(self) -> None:
        TableWriter(self.file).write(self.names)

    def _write(self, rows: Iterable[Row]) -> None:
        writer = TableWriter(self.file)
        for row in map(self._guarded, rows):
            writer.write(row.get(name) for name in self.names)

    def _read(self, file: IO[str]) -> Iterator[Row]:
        rows = read_rows(file)
        if header := next(rows, []):
            self._check_columns(header)
        for row in rows:
            if len(row) == len(header):
                cells = dict(zip(header, row, strict=True))
                yield cells | {"source": unguarded(cells["source"])}

    @staticmethod
    def _guarded(row: Row) -> Row:
        return row | {name: guarded(row.get(name) or "") for name in ("source", "reason")}


class JsonLinesWriter(RowWriter):
    """Writes one JSON object per line, in ASCII. Empty cells are null."""

    LINE_START = f'{{"{LEADING_COLUMNS[0]}": "'

    def _write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.file.write(json.dumps({name: row.get(name) for name in self.names}) + "\n")

    def _read(self, file: IO[str]) -> Iterator[Row]:
        for number, line in enumerate(file, start=1):
            if not line.startswith(self.LINE_START[: len(line)]):
                raise ValueError(f"line {number} is not a row of predictions")
            if line.endswith("\n"):
                yield json.loads(line)


class ParquetWriter(JsonLinesWriter):
    """Writes Apache Parquet.

    Rows are collected in `<file>.part.jsonl` and converted when the context is left without an error.
    """

    def __init__(self, path: Path, names: Sequence[str], job: Job | None = None) -> None:
        import_pyarrow()
        self.target, part = path, path.with_name(f"{path.name}{PART_SUFFIX}")
        if path.exists():
            if not (job and job.resume):
                raise OutputError(f"{path} already exists. Resume it with --resume, or choose another --out.")
            if not part.exists():
                job.check()
                _convert_to_json_lines(path, part, job)
        super().__init__(part, names, job)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if error is None and self.path:
            with _open(self.path, "r") as file:
                write_atomically(self.target, lambda target: write_parquet(target, self.names, self._read(file)))
            self.path.unlink()


def write_parquet(file: IO[bytes], names: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows as Apache Parquet. Only a part of them is in memory at a time.

    Args:
        file: the output file.
        names: the result of `columns`.
        rows: the rows.

    Raises:
        MissingExtraError: if pyarrow is not installed.
    """
    pyarrow, parquet = import_pyarrow()
    types = {"frame": pyarrow.int64(), **dict.fromkeys(("face", "x", "y", "width", "height"), pyarrow.int32())}
    types |= dict.fromkeys(("source", "emotion", *TRAILING_COLUMNS), pyarrow.string())
    schema = pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in names])
    with_names = (row | {name: _utf8(row[name]) for name in ("source", "reason") if row.get(name)} for row in rows)
    with parquet.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(with_names, CHUNK)):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema))


class TextWriter(RowWriter):
    """Writes human-readable lines, one per row, whatever characters a file name has."""

    def _write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            line = f"{_shorten(row['source'])}  {_describe(row)}".replace("\n", "\\n")
            self.file.write(f"{printable(line)}\n")

    def _read(self, file: IO[str]) -> Iterator[Row]:
        raise NotImplementedError("human-readable lines cannot be read back")


def open_writer(
    path: Path | None, file_format: str | None, class_names: Sequence[str], job: Job | None = None
) -> RowWriter:
    """Open a prediction table for writing.

    Args:
        path: the output file; None for standard output.
        file_format: `table`, `csv`, `jsonl` or `parquet`; None to choose by the suffix of `path`.
        class_names: the class names of the model.
        job: the job whose table this is, to resume it now or later; None for a table that cannot be resumed.

    Raises:
        MissingExtraError: if the library for the format is not installed.
        OutputError: if the format is unknown or does not fit the output, or the file cannot be written.
    """
    names = columns(class_names)
    file_format = file_format or _format_of(path)
    if file_format == "parquet":
        if path is None:
            raise OutputError("Parquet cannot be written to standard output. Pass a file with --out.")
        return ParquetWriter(path, names, job)
    if file_format == "table" and path:
        raise OutputError("The format 'table' cannot be written to a file. Choose --format csv, jsonl or parquet.")
    writers: dict[str, type[RowWriter]] = {"csv": CsvWriter, "jsonl": JsonLinesWriter, "table": TextWriter}
    return writers[file_format](path, names, job)


def _convert_to_json_lines(table: Path, part: Path, job: Job) -> None:
    """Convert a complete Parquet file back to JSON lines, to append to it."""
    pyarrow, parquet = import_pyarrow()
    original = {_utf8(source): source for source in job.sources}  # names that are not UTF-8 were escaped

    def write(file: IO[bytes]) -> None:
        with parquet.ParquetFile(table) as source:
            for batch in source.iter_batches(CHUNK):
                for row in batch.to_pylist():
                    row["source"] = original.get(row["source"], row["source"])
                    file.write(f"{json.dumps(row)}\n".encode())

    try:
        write_atomically(part, write)
    except (pyarrow.ArrowException, KeyError) as error:
        raise OutputError(f"{table} cannot be resumed: {error}. Choose another --out.") from None


def _open(path: Path, mode: str) -> IO[str]:
    """Open a table. File names that are not valid UTF-8 are preserved byte for byte."""
    return open(path, mode, encoding="utf-8", errors="surrogateescape", newline="")


def _utf8(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _format_of(path: Path | None) -> str:
    if path is None:
        return "table"
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise OutputError(
            f"{path}: the suffix does not name an output format. Use .{', .'.join(FORMATS)}, or pass --format."
        )
    return suffix


def _shorten(source: str) -> str:
    return f"{source:<{SOURCE_WIDTH}}" if len(source) <= SOURCE_WIDTH else f"...{source[3 - SOURCE_WIDTH :]}"


def _describe(row: Row) -> str:
    if row["status"] in ("no_face", "error"):
        return f"{row['status']:<11}{row.get('reason') or ''}".rstrip()
    emotion = row["emotion"] or row["status"]
    box = f"{row['x']},{row['y']} {row['width']}x{row['height']}"
    time = "" if row.get("time_s") is None else f"{row['time_s']:8.2f} s  "
    return f"{time}face {row['face']:<3} {emotion:<10} {100 * row['confidence']:3.0f} %  {box}"


def import_pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and its Parquet module.

    Raises:
        MissingExtraError: if pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("parquet", "pyarrow") from None
    return pyarrow, pyarrow.parquet
