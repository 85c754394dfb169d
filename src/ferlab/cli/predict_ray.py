"""`ferlab predict --engine ray`."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from ferlab.cli.options import AddressOption, stop
from ferlab.distributed.cluster import connected
from ferlab.distributed.inputs import Shard, list_shards
from ferlab.distributed.predict import MAX_ATTEMPTS, FailedShard, count_workers, predict_shards
from ferlab.distributed.shards import JOB_FILE, PART, ShardedJob, find_job, finished_shards, start_job
from ferlab.distributed.storage import Storage, is_local, local_path
from ferlab.errors import OutputError
from ferlab.files import make_folder
from ferlab.formatting import counted, duration, listed
from ferlab.locks import exclusive
from ferlab.predict.job import Setting
from ferlab.predict.predictor import Predictor
from ferlab.progress import bar, console

SHARD_SIZE = 1000
SHOWN = 3  # failed shards in a message


@dataclass(frozen=True, kw_only=True)
class PredictRayOptions:
    """Options of a prediction on Ray; see `with_option_groups`."""

    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="`local`: this process. `ray`: worker processes on Ray, for millions of images."),
    ] = "local"
    address: AddressOption = None
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="With `--engine ray`: worker processes. [default: all CPUs]", min=1)
    ] = None
    cpus_per_worker: Annotated[
        int | None,
        typer.Option(metavar="N", help="With `--engine ray`: CPUs and threads per worker. [default: 1]", min=1),
    ] = None
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With `--engine ray`: column of tables that has paths, URLs or image bytes."),
    ] = None
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=f"With `--engine ray`: images per file of --out. [default: {SHARD_SIZE}]", min=1
        ),
    ] = None

    def reject(self) -> None:
        """Reject the options that only Ray has.

        Raises:
            typer.BadParameter: if one is used.
        """
        for name in ("address", "workers", "cpus_per_worker", "column", "shard_size"):
            if getattr(self, name) is not None:
                raise typer.BadParameter("needs --engine ray.", param_hint=f"--{name.replace('_', '-')}")


def predict_on_ray(
    sources: list[str],
    predictor: Predictor,
    out: str,
    options: PredictRayOptions,
    *,
    min_confidence: float,
    recursive: bool,
    resume: bool,
    quiet: bool,
) -> Counter[str]:
    """Predict on any number of images, into one table per shard in a folder.

    Args:
        sources: see `list_shards`.
        predictor: the predictor.
        out: path or URL of the folder.
        options: the options for Ray.
        min_confidence, recursive, resume, quiet: as in `ferlab predict`.

    Returns:
        The number of rows with each status.
    """
    start, folder = time.monotonic(), Path.cwd()
    storage = Storage(str(folder / local_path(out)) if is_local(out) else out.rstrip("/"))
    shard_size = options.shard_size or SHARD_SIZE
    settings: dict[str, Setting] = {
        **predictor.settings,
        "min_confidence": min_confidence,
        "images": ", ".join(sources),
        "folder": str(folder),
        "column": options.column,
        "recursive": recursive,
        "shard_size": shard_size,
    }
    try:
        with _locked(storage):
            shards = list_shards(sources, shard_size, column=options.column, recursive=recursive)
            job = _existing_job(storage, settings, resume) or _new_job(storage, settings, shards, shard_size, quiet)
            done = sum(map(job.size, finished_shards(storage)))
            with bar("images", job.images - done, quiet) as advance:
                statuses, failed = _predict(predictor, storage, job, folder, options, min_confidence, advance)
    except KeyboardInterrupt:
        stop(f"Interrupted. {out} contains the finished shards. Run the same command with --resume to continue.")
    images = job.images - done - sum(shard.images for shard in failed)
    more = f"; {done:,} already done" if done else ""
    console().print(summary(images, statuses, time.monotonic() - start) + more)
    if failed:
        stop(_failure(storage, failed))
    return statuses


@contextmanager
def _locked(storage: Storage) -> Iterator[None]:
    """Keep other processes out of a folder on this machine. Object stores have no locks."""
    if not is_local(storage.location):
        yield
        return
    folder = local_path(storage.location)
    make_folder(folder)
    with exclusive(folder, folder / ".lock", OutputError):
        storage.remove_abandoned()
        yield


def _existing_job(storage: Storage, settings: Mapping[str, Setting], resume: bool) -> ShardedJob | None:
    if resume:
        return find_job(storage, settings)
    if used := [name for name in storage.names() if name == JOB_FILE or PART.fullmatch(name)]:
        raise OutputError(
            f"{storage.location} already contains {used[0]}. Resume it with --resume, or choose another --out."
        )
    return None


def _new_job(
    storage: Storage, settings: Mapping[str, Setting], shards: Iterator[Shard], shard_size: int, quiet: bool
) -> ShardedJob:
    with bar("listing images", None, quiet) as advance:
        return start_job(storage, settings, shards, shard_size, Path.cwd(), advance)


def _predict(
    predictor: Predictor,
    storage: Storage,
    job: ShardedJob,
    folder: Path,
    options: PredictRayOptions,
    min_confidence: float,
    advance: Callable[[int], None],
) -> tuple[Counter[str], list[FailedShard]]:
    """Predict the shards that are not finished. Returns the number of rows by status, and the shards that failed."""
    cpus, statuses, failed = options.cpus_per_worker or 1, Counter[str](), []
    with (
        connected(options.address),
        closing(
            predict_shards(
                predictor,
                storage,
                job,
                folder=folder,
                workers=options.workers or count_workers(cpus),
                cpus_per_worker=cpus,
                min_confidence=min_confidence,
            )
        ) as results,
    ):
        for result in results:
            advance(result.images)
            if isinstance(result, FailedShard):
                failed.append(result)
            else:
                statuses.update(result.statuses)
    return statuses, failed


def _failure(storage: Storage, failed: Sequence[FailedShard]) -> str:
    images = counted(sum(shard.images for shard in failed), "image")
    files = [f"{storage.location}/{shard.inputs}" for shard in failed[:SHOWN]]
    more = [f"{len(failed) - SHOWN:,} more files"] if len(failed) > SHOWN else []
    return (
        f"error: {images} without an outcome: their worker died {MAX_ATTEMPTS} times, perhaps for lack of memory. They "
        f"are listed in {listed([*files, *more])}. Run the same command with --resume to try them again."
    )


def summary(images: int, statuses: Counter[str], seconds: float) -> str:
    """Describe the result of a prediction."""
    faces = counted(statuses["ok"] + statuses["uncertain"], "face")
    without = f"{counted(statuses['no_face'], 'image')} without a face"
    return f"{counted(images, 'image')} in {duration(seconds)}: {faces}, {without}, {statuses['error']:,} unreadable"
