"""List the inputs of a prediction of any size, and divide them into shards of consecutive images."""

import csv
import glob
import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ferlab.csv_files import ENCODING, read_rows
from ferlab.distributed.storage import is_local, local_path, open_file_system, protocol_of
from ferlab.errors import DataError, FerlabError, ImageError, reason_of
from ferlab.files import open_regular
from ferlab.images.listing import images_of, is_hidden, is_image
from ferlab.images.sources import is_url
from ferlab.limits import MAX_ROW
from ferlab.predict.table_files import import_pyarrow

TABLES = (".csv", ".parquet")
LISTS = (".txt",)
GLOB_CHARACTERS = "*?["
LARGE_GROUP = 20_000  # rows of a Parquet row group
CHUNK = 1000  # rows of a Parquet table of paths that are in memory at a time


@dataclass(frozen=True, kw_only=True)
class ListedImages:
    """Images that are files.

    Args:
        images: their paths and URLs.
    """

    images: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Images whose bytes are in consecutive rows of a Parquet table.

    Args:
        table: path or URL of the table.
        column: the column with the bytes.
        start: number of the first row, from 0.
        rows: number of rows.
    """

    table: str
    column: str
    start: int
    rows: int

    def __len__(self) -> int:
        return self.rows


Shard = ListedImages | TableRows


def encode_shard(shard: Shard) -> bytes:
    """Return a shard as JSON. File names that are not UTF-8 are preserved."""
    return json.dumps(asdict(shard)).encode()


def decode_shard(content: bytes) -> Shard:
    """Return the shard that `encode_shard` encoded."""
    values = json.loads(content)
    return TableRows(**values) if "table" in values else ListedImages(**values)


def list_shards(
    sources: Sequence[str], shard_size: int, *, column: str | None = None, recursive: bool = False
) -> Iterator[Shard]:
    """List images and divide them into shards. Tables and lists are read as a stream.

    Args:
        sources: image files; folders; patterns; `.txt` files with a path or URL per line; `.csv` and `.parquet` tables.
            Each is a path or an fsspec URL. Relative paths in a list or table begin at its folder.
        shard_size: images per shard. The last shard, and the last one of a table with image bytes, may have fewer.
        column: the column of tables that has paths, URLs or image bytes; None if they have only one.
        recursive: whether to search subfolders.

    Yields:
        The shards: sources in their order, folders and patterns sorted, tables by row. An image that is named twice is
        listed twice.

    Raises:
        DataError: if a source cannot be listed or read, or a table has no such column.
        ImageError: if a path does not exist.
    """
    listed: list[str] = []
    for source in sources:
        for item in _items(source, column, recursive):
            if isinstance(item, TableRows):
                if listed:
                    yield ListedImages(images=listed)
                yield from _split(item, shard_size)
                listed = []
                continue
            listed.append(item)
            if len(listed) == shard_size:
                yield ListedImages(images=listed)
                listed = []
    if listed:
        yield ListedImages(images=listed)


def _split(table: TableRows, shard_size: int) -> Iterator[TableRows]:
    for start in range(0, table.rows, shard_size):
        rows = min(shard_size, table.rows - start)
        yield TableRows(table=table.table, column=table.column, start=start, rows=rows)


def _items(source: str, column: str | None, recursive: bool) -> Iterator[str | TableRows]:
    """Yield the images that a source names, and the tables with image bytes."""
    for file in _local_files(source, recursive) if is_local(source) else _remote_files(source, recursive):
        suffix = PurePosixPath(file.partition("::")[0]).suffix.lower()
        try:
            if suffix in LISTS:
                yield from _from_list(file)
            elif suffix == ".csv":
                yield from _from_csv(file, column)
            elif suffix == ".parquet":
                yield from _from_parquet(file, column)
            else:
                yield file
        except FerlabError:
            raise
        except Exception as error:  # each protocol and format has its own exceptions
            raise DataError(f"{file} cannot be read: {reason_of(error)}.") from None


def _local_files(source: str, recursive: bool) -> Iterator[str]:
    path = local_path(source)
    try:
        if path.is_dir():
            yield from map(str, images_of(path, recursive=recursive))
        elif path.exists():
            yield str(path)
        elif matches := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  # takes absolute patterns
            yield from (match for match in matches if not Path(match).is_dir())
        else:
            raise ImageError(
                f"{path} does not exist. Pass images, folders, lists, tables, or a pattern such as '*.jpg'."
            )
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}.") from None


def _remote_files(source: str, recursive: bool) -> Iterator[str]:
    if is_url(source):  # HTTP has no folders
        yield source
        return
    system, path = open_file_system(source)
    _, chained, outer = source.partition("::")  # such as zip://faces/a.jpg::s3://bucket/a.zip
    try:
        for name in _remote_names(system, path, recursive):
            url = system.unstrip_protocol(name)
            yield f"{url}{chained}{outer}" if protocol_of(url) == protocol_of(source) else url  # a cache is left out
    except Exception as error:  # each protocol has its own exceptions
        raise DataError(
            f"{source} cannot be listed: {reason_of(error)}. Check its name, and the credentials for "
            f"{protocol_of(source)}."
        ) from None


def _remote_names(system: Any, path: str, recursive: bool) -> Iterator[str]:
    if any(character in path for character in GLOB_CHARACTERS) and not system.isfile(path):
        found = system.glob(path, detail=True)
        if not found:
            raise FileNotFoundError("no file matches the pattern")
        yield from sorted(name for name, entry in found.items() if entry["type"] == "file")
    elif system.isdir(path):
        yield from _remote_images(system, path, recursive)
    else:
        system.info(path)  # raises the reason if it is not there
        yield path


def _remote_images(system: Any, folder: str, recursive: bool) -> Iterator[str]:
    """Yield the image files of a folder in sorted order, as `images_of` does."""
    entries = sorted((entry["name"].rstrip("/"), entry["type"]) for entry in system.ls(folder, detail=True))
    for name, kind in entries:
        path = PurePosixPath(name)
        if is_hidden(path.name) or name == folder.rstrip("/"):
            continue
        if kind == "directory":
            yield from _remote_images(system, name, recursive) if recursive else ()
        elif is_image(path):
            yield name


@contextmanager
def open_location(location: str) -> Iterator[IO[bytes]]:
    """Open a file, at a path or an fsspec URL, for reading, and close it at the end.

    Raises:
        Exception: the one of the protocol; OSError for a path.
    """
    if is_local(location):
        with open_regular(local_path(location)) as file:
            yield file
        return
    system, path = open_file_system(location)
    with system.open(path, "rb") as file:
        yield file


@contextmanager
def _text_lines(file: str) -> Iterator[io.TextIOWrapper]:
    with (
        open_location(file) as opened,
        io.TextIOWrapper(opened, encoding=ENCODING, errors="surrogateescape", newline="") as lines,
    ):
        yield lines


def _from_list(file: str) -> Iterator[str]:
    beside = _beside(file)
    with _text_lines(file) as lines:
        while line := lines.readline(MAX_ROW):
            if name := line.strip("\r\n"):
                yield beside(name)


def _from_csv(file: str, column: str | None) -> Iterator[str]:
    beside = _beside(file)
    with _text_lines(file) as lines:
        rows = read_rows(lines)
        if not (names := next(rows, [])):
            raise DataError(f"{file} is empty. Expected a header row with the names of the columns.")
        index = names.index(_column(file, names, column))
        try:
            for number, row in enumerate(row for row in rows if row):
                if len(row) != len(names):
                    raise DataError(f"{file}: row {number} has {len(row)} cells, expected {len(names)}.")
                yield beside(row[index]) if row[index] else row_name(file, number)
        except csv.Error as error:
            raise DataError(f"{file} cannot be read: {error}.") from None


def _from_parquet(file: str, column: str | None) -> Iterator[str | TableRows]:
    _, parquet = import_pyarrow()
    beside = _beside(file)
    with open_location(file) as opened, parquet.ParquetFile(opened, buffer_size=2**20) as table:
        chosen = _column(file, table.schema_arrow.names, column)
        kind = table.schema_arrow.field(chosen).type
        if _is_bytes(kind):
            _warn_of_large_groups(file, table.metadata)
            yield TableRows(table=file, column=chosen, start=0, rows=table.metadata.num_rows)
            return
        if not _is_text(kind):
            raise DataError(f"{file}: column '{chosen}' has {kind}, expected paths, URLs or image bytes.")
        number = 0
        for batch in table.iter_batches(CHUNK, columns=[chosen]):
            for name in batch.column(0).to_pylist():
                yield beside(name) if name else row_name(file, number)
                number += 1


def _warn_of_large_groups(file: str, metadata: Any) -> None:
    largest = max((metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)), default=0)
    if largest > LARGE_GROUP:
        logging.getLogger("ferlab").warning(
            "%s has up to %s rows in a row group. Each shard reads its row group from the start, which takes long. "
            "Write the table with about 1,000 rows in each group.",
            file,
            f"{largest:,}",
        )


def _is_bytes(kind: Any) -> bool:
    """Return whether a type is bytes, or a struct with them, as in image datasets of Hugging Face."""
    import pyarrow.types

    if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _is_text(kind: Any) -> bool:
    import pyarrow.types

    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _column(file: str, names: Sequence[str], chosen: str | None) -> str:
    if chosen is None and len(names) == 1:
        return names[0]
    if chosen in names:
        return str(chosen)
    problem = "has several columns" if chosen is None else f"has no column '{chosen}'"
    raise DataError(f"{file} {problem}. Choose one with --column: {', '.join(names)}.")


def _beside(file: str) -> Callable[[str], str]:
    """Return a function that completes relative paths, which begin at the folder of a file."""
    inner, chained, outer = file.partition("::")

    def complete(name: str) -> str:
        if not is_local(name) or Path(name).is_absolute():
            return name
        if is_local(file):
            return str(local_path(file).parent / local_path(name))
        return f"{inner.rpartition('/')[0]}/{name}{chained}{outer}"

    return complete


def row_name(table: str, row: int) -> str:
    """Return the name of the image in a row of a table, counted from 0."""
    return f"{table}#{row}"
