"""Read the images of a shard: local files where they are, remote ones in threads, and rows of tables as a stream."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ferlab.distributed.inputs import Shard, TableRows, open_location, row_name
from ferlab.distributed.storage import is_local, local_path, open_file_system
from ferlab.errors import DataError, FerlabError, ImageError, reason_of
from ferlab.images.sources import ImageSource, is_url
from ferlab.limits import MAX_IMAGE_BYTES, MEBIBYTE
from ferlab.predict.table_files import import_pyarrow

READERS = 16  # remote images that a worker reads at the same time
BATCH = 32  # rows of a table of image bytes that are in memory at a time


@dataclass(frozen=True, kw_only=True)
class RemoteImage:
    """An image that is read by another thread, or cannot be read.

    Args:
        name: its URL, or its row in a table.
        read: returns its bytes, or raises an ImageError.
    """

    name: str
    read: Callable[[], bytes]

    def __str__(self) -> str:
        return self.name


def open_images(shard: Shard, folder: Path, *, allow_urls: bool) -> Iterator[ImageSource | RemoteImage]:
    """Yield the images of a shard, for `predict_files`. They are named as in the shard.

    Args:
        shard: the shard.
        folder: where relative paths begin.
        allow_urls: whether to download images from `http` and `https` URLs.
    """
    if isinstance(shard, TableRows):
        yield from _table_images(shard, folder)
        return
    with ThreadPoolExecutor(READERS) as executor:
        for name in shard.images:
            if is_local(name):
                yield ImageSource(name=name, content=folder / local_path(name))
            else:
                yield RemoteImage(name=name, read=executor.submit(read_remote, name, allow_urls=allow_urls).result)


def read_remote(url: str, *, allow_urls: bool) -> bytes:
    """Read a file at an `http` or `https` URL, or at another fsspec URL.

    Raises:
        ImageError: if it cannot be read, is larger than the limit, or is not allowed.
    """
    if is_url(url):
        if not allow_urls:
            raise ImageError(f"{url}: not downloaded. Create the predictor with allow_urls=True to allow it")
        from ferlab.images.download import download

        return download(url)
    try:
        system, path = open_file_system(url)
        content = system.cat_file(path, start=0, end=MAX_IMAGE_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{url}: the file does not exist") from None
    except Exception as error:  # each protocol has its own exceptions
        raise ImageError(f"{url}: {reason_of(error)}") from None
    if len(content) > MAX_IMAGE_BYTES:
        raise ImageError(f"{url}: larger than the limit of {MAX_IMAGE_BYTES // MEBIBYTE} MiB")
    return content


def _table_images(shard: TableRows, folder: Path) -> Iterator[ImageSource | RemoteImage]:
    row = shard.start
    try:
        for content in _contents(shard, folder):
            yield ImageSource(name=row_name(shard.table, row), content=content or b"")
            row += 1
        reason = "the table has fewer rows than when it was listed"
    except Exception as error:  # each protocol has its own exceptions, and the table may be damaged
        reason = reason_of(error)

    def fail() -> bytes:
        raise ImageError(f"{shard.table} cannot be read: {reason}")

    for missing in range(row, shard.start + shard.rows):
        yield RemoteImage(name=row_name(shard.table, missing), read=fail)


def _contents(shard: TableRows, folder: Path) -> Iterator[bytes | None]:
    """Yield the bytes in the rows of a shard. Row groups without any of them are not read."""
    _, parquet = import_pyarrow()
    with open_location(located(shard.table, folder)) as file, parquet.ParquetFile(file, buffer_size=2**20) as table:
        first = position = 0
        groups: list[int] = []
        for group in range(table.num_row_groups):
            after = position + table.metadata.row_group(group).num_rows
            if after > shard.start and position < shard.start + shard.rows:
                first = first if groups else position
                groups.append(group)
            position = after
        skip, left = shard.start - first, shard.rows
        for batch in table.iter_batches(BATCH, row_groups=groups, columns=[shard.column]):
            rows = batch.column(0).slice(min(skip, len(batch)), left)
            skip, left = skip - min(skip, len(batch)), left - len(rows)
            for value in rows.to_pylist():
                yield value["bytes"] if isinstance(value, dict) else value
            if not left:
                return


def located(name: str, folder: Path) -> str:
    """Return a path with the folder where it begins, or a URL as it is."""
    return str(folder / local_path(name)) if is_local(name) else name


def check_readable(name: str, folder: Path) -> None:
    """Check that a file can be opened here.

    Args:
        name: its path or URL.
        folder: where relative paths begin.

    Raises:
        FileNotFoundError: if there is no such file, but its storage can be reached.
        DataError: if its storage cannot be reached, or refuses access.
    """
    if is_url(name):  # each server is another storage
        return
    try:
        with open_location(located(name, folder)) as file:
            file.read(1)
    except (FileNotFoundError, FerlabError):
        raise
    except Exception as error:  # each protocol has its own exceptions
        raise DataError(f"{name} cannot be read: {reason_of(error)}. Check the credentials and permissions.") from None


def exists_here(name: str, folder: Path) -> bool:
    """Return whether `check_readable` finds the file."""
    try:
        check_readable(name, folder)
    except FileNotFoundError:
        return False
    return True
