"""The prediction table: a row for each face, in the same columns whatever the form of the file."""

import csv
import io
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ferlab.errors import MissingExtraError, OutputError
from ferlab.files import make_folder, write_atomically
from ferlab.predict.results import Face

Row = dict[str, Any]

FORMATS = ("csv", "jsonl", "parquet")
STARTS = ("source", "frame", "time_s", "face", "x", "y", "width", "height", "detection_score", "emotion", "confidence")
ENDS = ("status", "reason")
CHUNK = 10_000  # rows of a Parquet file in memory at a time


def columns(class_names: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns: `STARTS`, one for each class, and `ENDS`."""
    return (*STARTS, *class_names, *ENDS)


def face_row(source: str, number: int, face: Face, min_confidence: float = 0.0) -> Row:
    """The row of one face. Columns that are not there are empty.

    Args:
        source: the picture or film.
        number: of the face.
        face: what was found.
        min_confidence: below it, the row's status is `uncertain` and it names no emotion; else it is `ok`.
    """
    sure = face.confidence >= min_confidence
    return {
        "source": source,
        "face": number,
        **face.box._asdict(),
        "detection_score": face.detection_score,
        "emotion": face.emotion if sure else None,
        "confidence": face.confidence,
        **face.probabilities,
        "status": "ok" if sure else "uncertain",
    }


def image_rows(source: str, faces: Sequence[Face], min_confidence: float = 0.0) -> list[Row]:
    """The rows of a picture: one for each face, numbered from 1, or one with the status `no_face`."""
    rows = [face_row(source, number, face, min_confidence) for number, face in enumerate(faces, start=1)]
    return rows or [{"source": source, "status": "no_face"}]


def error_row(source: str, reason: str) -> Row:
    """The row of a picture that cannot be read."""
    return {"source": source, "status": "error", "reason": reason}


class RowWriter(ABC):
    """Writes rows as they are made. A context: a table of rows is whole when it is left.

    Args:
        path: of the table; None for standard output.
        names: of its columns.
        resume: the sources of this job, to go on with what is there; None for a new file.

    Attributes:
        done: the sources that are already there. The last one may have been cut short: if it is of this job, it is
            taken out, to be done again.

    Raises:
        OutputError: if the file cannot be written to, is there without `resume`, or is no such table.
    """

    def __init__(self, path: Path | None, names: Sequence[str], resume: Collection[str] | None = None) -> None:
        self.path, self.names = path, tuple(names)
        self.done: set[str] = set()
        self._untouched = False  # a new file without rows
        if path is None:
            self.file: IO[str] = sys.stdout
            if isinstance(self.file, io.TextIOWrapper):  # names of files may hold what a terminal cannot show
                self.file.reconfigure(errors="backslashreplace")
            self._begin()
            return
        make_folder(path.parent)
        if goes_on := resume is not None and path.is_file():
            self._keep_whole_sources(path, resume or ())
        elif path.exists():
            raise OutputError(f"{path} is already there. Go on with it by --resume, or choose another --out.")
        try:
            self.file = _open(path, "a")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}. Choose another --out.") from None
        if not goes_on:
            self._untouched = True
            self._begin()

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.path is None:
            return
        try:
            self.file.close()
        except OSError as failure:
            if error is None:
                raise self._full(failure) from None
        if error and self._untouched:
            self.path.unlink()

    def write(self, rows: Iterable[Row]) -> None:
        """Adds the rows of one source, and hands them to the operating system.

        Raises:
            OutputError: if the disk is full.
        """
        self._untouched = False
        try:
            self._write(rows)
            self.file.flush()
        except OSError as error:
            if self.path is None:  # such as a pipe whose reader has had enough, which the command line ends on in peace
                raise
            raise self._full(error) from None

    def _full(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.path} cannot be written: {error.strerror}. Free space; `ferlab predict` goes on with --resume."
        )

    def _begin(self) -> None:  # noqa: B027  # most forms have nothing there
        """Writes what stands above the rows."""

    @abstractmethod
    def _write(self, rows: Iterable[Row]) -> None: ...

    @abstractmethod
    def _read(self, file: IO[str]) -> Iterator[Row]:
        """The whole rows of a file."""

    def _keep_whole_sources(self, path: Path, again: Collection[str]) -> None:
        """Takes note of a table's sources, and takes out the last one, which may have been cut short."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with _open(path, "r") as old, _open(temporary, "w") as self.file:
                self._begin()
                rows: list[Row] = []
                for source, group in groupby(self._read(old), key=self._source):
                    self._write(rows)
                    self.done.add(source)
                    rows = list(group)
                if rows and rows[0]["source"] not in again:
                    self._write(rows)
                elif rows:
                    self.done.discard(rows[0]["source"])
            temporary.replace(path)
        except (OSError, ValueError, csv.Error) as error:
            raise OutputError(f"{path} cannot be gone on with: {error}. Choose another --out.") from None
        finally:
            temporary.unlink(missing_ok=True)

    def _source(self, row: Row) -> str:
        self._check_columns(row)
        return row["source"]

    def _check_columns(self, names: Iterable[str]) -> None:
        if tuple(names) != self.names:
            raise OutputError(f"{self.path} has other columns than this model's table. Choose another --out.")


class CsvWriter(RowWriter):
    """Comma-separated values, with a header."""

    def _begin(self) -> None:
        csv.writer(self.file, lineterminator="\n").writerow(self.names)

    def _write(self, rows: Iterable[Row]) -> None:
        csv.DictWriter(self.file, self.names, lineterminator="\n").writerows(rows)

    def _read(self, file: IO[str]) -> Iterator[Row]:
        reader = csv.DictReader(file)
        if reader.fieldnames:
            self._check_columns(reader.fieldnames)
        for row in reader:
            if None not in row.values():
                yield row


class JsonLinesWriter(RowWriter):
    """One JSON object a line, in ASCII; empty cells are null."""

    START = f'{{"{STARTS[0]}": "'  # of each line

    def _write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.file.write(json.dumps({name: row.get(name) for name in self.names}) + "\n")

    def _read(self, file: IO[str]) -> Iterator[Row]:
        for number, line in enumerate(file, start=1):
            if not line.startswith(self.START[: len(line)]):
                raise ValueError(f"line {number} is no row of predictions")
            if line.endswith("\n"):
                yield json.loads(line)


class ParquetWriter(JsonLinesWriter):
    """Apache Parquet. Rows are kept in `<file>.part.jsonl` until the context is left without an error."""

    def __init__(self, path: Path, names: Sequence[str], resume: Collection[str] | None = None) -> None:
        _import_pyarrow()
        if path.exists():
            raise OutputError(f"{path} is already there, and is whole. Choose another --out.")
        self.target = path
        super().__init__(path.with_name(f"{path.name}.part.jsonl"), names, resume)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if error is None and self.path:
            with _open(self.path, "r") as file:
                write_atomically(self.target, lambda target: self._convert(file, target))
            self.path.unlink()

    def _convert(self, source: IO[str], target: IO[bytes]) -> None:
        pyarrow, parquet = _import_pyarrow()
        kinds = {"frame": pyarrow.int64(), **dict.fromkeys(("face", "x", "y", "width", "height"), pyarrow.int32())}
        kinds |= dict.fromkeys(("source", "emotion", *ENDS), pyarrow.string())
        schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in self.names])
        rows = (row | {"source": _utf8(row["source"])} for row in self._read(source))
        with parquet.ParquetWriter(target, schema) as writer:
            while chunk := list(islice(rows, CHUNK)):
                writer.write_table(pyarrow.Table.from_pylist(chunk, schema))


class TableWriter(RowWriter):
    """Lines for people."""

    def _write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.file.write(f"{_shortened(row['source'])}  {_said(row)}\n")

    def _read(self, file: IO[str]) -> Iterator[Row]:
        raise NotImplementedError("what is printed for people is not read again")


def open_writer(
    path: Path | None, form: str | None, class_names: Sequence[str], *, resume: Collection[str] | None = None
) -> RowWriter:
    """Opens a table for writing.

    Args:
        path: of the file; None for standard output.
        form: `table`, `csv`, `jsonl` or `parquet`; None for what the file's suffix tells, or `table` without a file.
        class_names: of the model.
        resume: the sources of this job, to go on with a file that is there; None for a new file.

    Raises:
        MissingExtraError: if a library for that form is not installed.
        OutputError: if the form is not told, needs a file, or the file cannot be written.
    """
    names = columns(class_names)
    form = form or _form_of(path)
    if form == "parquet":
        if path is None:
            raise OutputError("Parquet is not for a terminal: name a file by --out.")
        return ParquetWriter(path, names, resume)
    if form == "table" and path:
        raise OutputError("A table for people is not for a file: choose --format csv, jsonl or parquet.")
    writers: dict[str, type[RowWriter]] = {"csv": CsvWriter, "jsonl": JsonLinesWriter, "table": TableWriter}
    return writers[form](path, names, resume)


def _open(path: Path, mode: str) -> IO[str]:
    """Opens a table. Names of files that are no UTF-8 stay as they are, byte for byte."""
    return open(path, mode, encoding="utf-8", errors="surrogateescape", newline="")


def _utf8(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _form_of(path: Path | None) -> str:
    if path is None:
        return "table"
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise OutputError(f"{path}: which form is it to have? Name it .{', .'.join(FORMATS)}, or give --format.")
    return suffix


def _shortened(source: str, width: int = 36) -> str:
    return f"{source:<{width}}" if len(source) <= width else f"...{source[3 - width :]}"


def _said(row: Row) -> str:
    if row["status"] in ("no_face", "error"):
        return f"{row['status']:<11}{row.get('reason') or ''}".rstrip()
    emotion = row["emotion"] or row["status"]
    box = f"{row['x']},{row['y']} {row['width']}x{row['height']}"
    when = "" if row.get("time_s") is None else f"{row['time_s']:8.2f} s  "
    return f"{when}face {row['face']:<3} {emotion:<10} {100 * row['confidence']:3.0f} %  {box}"


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("parquet", "pyarrow") from None
    return pyarrow, pyarrow.parquet
