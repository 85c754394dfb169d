"""`ShardedJob`: a prediction job in a folder, divided into shards that workers do one at a time.

The folder has `_job.json`, written when all inputs are listed; `_inputs/000000.json`, the images of each shard; and
`part-000000.parquet`, the rows of each finished shard. A part is written whole or not at all, so each image has exactly
one outcome, whatever is killed. Readers of Parquet folders ignore names that begin with an underscore.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from ferlab.distributed.images import check_readable
from ferlab.distributed.inputs import ListedImages, Shard, decode_shard, encode_shard, open_location
from ferlab.distributed.storage import Storage, is_local, protocol_of
from ferlab.errors import DataError, ImageError, OutputError, reason_of
from ferlab.json_files import decode_json
from ferlab.predict.job import Setting, changed_settings
from ferlab.predict.table_files import import_pyarrow

SCHEMA = 1
READERS = 16  # tables that are read at the same time
JOB_FILE = "_job.json"
PART = re.compile(r"part-(\d{6,})\.parquet")


def inputs_file(shard: int) -> str:
    """Return the name of the file with the images of a shard."""
    return f"_inputs/{shard:06}.json"


def part_file(shard: int) -> str:
    """Return the name of the table of a shard."""
    return f"part-{shard:06}.parquet"


@dataclass(frozen=True, kw_only=True)
class ShardedJob:
    """A prediction job whose inputs are listed.

    Args:
        settings: everything that determines the rows: the arguments that name the images, `Predictor.settings`, and
            those of the table.
        images: number of images.
        shards: number of shards.
        shard_size: number of images in a shard.
        smaller: the shards with fewer images, and their number of images.
        samples: one input of each kind of storage. A node that cannot read them cannot do the job.
    """

    settings: Mapping[str, Setting]
    images: int
    shards: int
    shard_size: int
    smaller: Mapping[str, int]
    samples: list[str]

    def size(self, shard: int) -> int:
        """Return the number of images in a shard."""
        return self.smaller.get(str(shard), self.shard_size)


def start_job(
    storage: Storage,
    settings: Mapping[str, Setting],
    shards: Iterable[Shard],
    shard_size: int,
    folder: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> ShardedJob:
    """Write the inputs of each shard, then the job.

    Args:
        storage: the output folder.
        settings: see `ShardedJob`.
        shards: the shards.
        shard_size: number of images in most of them.
        folder: where relative paths begin.
        advance: called with the number of images of each shard.

    Raises:
        DataError: if the inputs cannot be read, or there are none.
        OutputError: if a file cannot be written.
    """
    images = number = 0
    smaller: dict[str, int] = {}
    samples: dict[tuple[type, str], str | None] = {}
    for shard in shards:
        _add_samples(samples, shard, folder)
        storage.write(inputs_file(number), encode_shard(shard))
        if len(shard) < shard_size:
            smaller[str(number)] = len(shard)
        number, images = number + 1, images + len(shard)
        advance(len(shard))
    if not images:
        raise ImageError("No images found. Use --recursive to search subfolders.")
    job = ShardedJob(
        settings=settings,
        images=images,
        shards=number,
        shard_size=shard_size,
        smaller=smaller,
        samples=[sample for sample in samples.values() if sample],
    )
    storage.write(JOB_FILE, f"{json.dumps({'schema': SCHEMA, **asdict(job)}, indent=1)}\n".encode())
    return job


def _add_samples(samples: dict[tuple[type, str], str | None], shard: Shard, folder: Path) -> None:
    """Add the first input of each kind of storage, or None if it is missing."""
    for name in shard.images if isinstance(shard, ListedImages) else [shard.table]:
        if (key := (type(shard), protocol_of(name))) not in samples:
            samples[key] = None
            try:
                check_readable(name, folder)
                samples[key] = name
            except FileNotFoundError:
                pass
            except DataError:
                if not is_local(name):  # credentials are missing or wrong: all other images would fail, too
                    raise


def find_job(storage: Storage, settings: Mapping[str, Setting]) -> ShardedJob | None:
    """Return the job in a folder, or None if its inputs are not listed yet.

    Raises:
        OutputError: if the file is damaged, or the job has other settings.
    """
    try:
        values = decode_json(storage.read(JOB_FILE))
        if values.pop("schema") != SCHEMA:
            raise ValueError
        job = ShardedJob(**values)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OutputError(
            f"{storage.location}/{JOB_FILE} cannot be read, so the job cannot be resumed. Choose another --out."
        ) from None
    if changes := changed_settings(job.settings, settings):
        raise OutputError(
            f"{storage.location} was written with other settings ({changes}). Use the same ones, or choose another "
            "--out."
        )
    return job


def finished_shards(storage: Storage) -> set[int]:
    """Return the numbers of the shards that are finished."""
    return {int(found[1]) for name in storage.names() if (found := PART.fullmatch(name))}


def count_errors(storage: Storage, shards: Iterable[int]) -> dict[int, int]:
    """Count the images of finished shards that could not be read.

    Args:
        storage: the output folder.
        shards: numbers of finished shards.

    Returns:
        The number of such images, by shard, without shards that have none.

    Raises:
        OutputError: if a table cannot be read.
    """
    with ThreadPoolExecutor(READERS) as executor:
        numbers = list(shards)
        counts = executor.map(lambda shard: _errors_of(storage, part_file(shard)), numbers)
        return {shard: count for shard, count in zip(numbers, counts, strict=True) if count}


def _errors_of(storage: Storage, name: str) -> int:
    _, parquet = import_pyarrow()
    try:
        with open_location(f"{storage.location}/{name}") as file, parquet.ParquetFile(file) as table:
            return int(table.read(["status"]).column(0).to_pylist().count("error"))
    except Exception as error:  # each protocol has its own exceptions, and the table may be damaged
        raise OutputError(f"{storage.location}/{name} cannot be read: {reason_of(error)}.") from None


def read_shard(storage: Storage, shard: int) -> Shard:
    """Read the inputs of a shard.

    Raises:
        OutputError: if the file is missing or cannot be read.
    """
    try:
        return decode_shard(storage.read(inputs_file(shard)))
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise OutputError(f"{storage.location}/{inputs_file(shard)} cannot be read: {error}.") from None
