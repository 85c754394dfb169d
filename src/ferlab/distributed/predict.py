"""`predict_images`: predict on any number of images with Ray, into one table per shard in a folder."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ferlab.distributed.cluster import connected
from ferlab.distributed.images import exists_here
from ferlab.distributed.inputs import list_shards
from ferlab.distributed.pool import FailedShard, count_workers, predict_shards
from ferlab.distributed.shards import JOB_FILE, PART, ShardedJob, count_errors, find_job, finished_shards, start_job
from ferlab.distributed.storage import Storage, is_local, local_path
from ferlab.distributed.worker import ShardResult
from ferlab.errors import ClusterError, OutputError
from ferlab.files import make_folder
from ferlab.formatting import counted
from ferlab.locks import exclusive
from ferlab.predict.job import Setting
from ferlab.predict.predictor import Predictor
from ferlab.progress import bar

SHARD_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class RayPrediction:
    """The result of `predict_images`.

    Args:
        images: number of images that were predicted now.
        already_done: number of images that `out` contained before, and that were not predicted again.
        statuses: number of new rows with each status: `ok`, `uncertain`, `no_face` and `error`.
        errors_before: number of the images already done that could not be read.
        failed: the shards without a table, whose workers died.
    """

    images: int
    already_done: int
    statuses: Counter[str]
    errors_before: int
    failed: tuple[FailedShard, ...]


def predict_images(
    sources: Sequence[str],
    out: str,
    predictor: Predictor,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus_per_worker: int = 1,
    column: str | None = None,
    shard_size: int = SHARD_SIZE,
    min_confidence: float = 0.0,
    recursive: bool = False,
    resume: bool = False,
    retry_errors: bool = False,
    quiet: bool = True,
) -> RayPrediction:
    """Predict the emotions of all faces in any number of images, with worker processes on Ray.

    Args:
        sources: folders, patterns, lists and tables, as paths or URLs; see `ferlab.distributed.inputs.list_shards`.
        out: path or URL of the output folder. All nodes must see it, and the images, under the same names.
        predictor: the predictor. The workers get a copy of it with its files.
        address: address of a running cluster; `auto` to find it; None to start Ray on this machine.
        workers: number of worker processes; None for as many as the cluster has CPUs for.
        cpus_per_worker: CPUs, and threads, of each worker.
        column: the column of tables that has paths, URLs or image bytes; None if there is only one.
        shard_size: number of images in one table of `out`.
        min_confidence: threshold, 0..1; faces below it get the status `uncertain`.
        recursive: search subfolders.
        resume: continue a job with the same settings in `out`: predict the shards that are not finished.
        retry_errors: with `resume`, also repeat the shards with images that could not be read.
        quiet: show no progress.

    Returns:
        The number of images and rows, and the shards that failed.

    Raises:
        ClusterError: if the cluster cannot be reached, or its nodes cannot read the images or `out`.
        DataError: if the inputs cannot be listed.
        ImageError: if there are no images.
        MissingExtraError: if Ray is not installed.
        OutputError: if `out` cannot be written, or contains another job.
        KeyboardInterrupt: on Ctrl-C; finished shards are kept.
    """
    folder = Path.cwd()
    storage = Storage(str(folder / local_path(out)) if is_local(out) else out.rstrip("/"))
    settings: dict[str, Setting] = {
        **predictor.settings,
        "min_confidence": min_confidence,
        "images": ", ".join(sources),
        "folder": str(folder),
        "column": column,
        "recursive": recursive,
        "shard_size": shard_size,
    }
    with _locked(storage):
        shards = list_shards(sources, shard_size, column=column, recursive=recursive)
        if (job := _existing_job(storage, settings, folder, resume)) is None:
            with bar("listing images", None, quiet) as advance:
                job = start_job(storage, settings, shards, shard_size, folder, advance)
        finished = finished_shards(storage)
        errors = count_errors(storage, finished)
        if retry_errors:
            finished, errors = finished - errors.keys(), {}
        done = sum(map(job.size, finished))
        with bar("images", job.images - done, quiet) as advance, connected(address):
            fitting = count_workers(cpus_per_worker)
            if not fitting and not (workers and address):
                raise ClusterError(
                    f"No node has {counted(cpus_per_worker, 'CPU')} for a worker. Choose fewer with --cpus-per-worker. "
                    "If the cluster grows on demand, pass --workers."
                )
            results = predict_shards(
                predictor,
                storage,
                job,
                [shard for shard in range(job.shards) if shard not in finished],
                folder=folder,
                workers=workers or fitting,
                cpus_per_worker=cpus_per_worker,
                min_confidence=min_confidence,
            )
            with closing(results):
                statuses, failed = _collect(results, advance)
    images = job.images - done - sum(shard.images for shard in failed)
    return RayPrediction(
        images=images,
        already_done=done,
        statuses=statuses,
        errors_before=sum(errors.values()),
        failed=tuple(failed),
    )


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


def _existing_job(storage: Storage, settings: Mapping[str, Setting], folder: Path, resume: bool) -> ShardedJob | None:
    """Find the job to resume. Images that are gone are no longer samples of its inputs."""
    if resume and (job := find_job(storage, settings)):
        return replace(job, samples=[name for name in job.samples if exists_here(name, folder)])
    if used := [name for name in storage.names() if name == JOB_FILE or PART.fullmatch(name)]:
        hint = f"{JOB_FILE} is missing. Choose" if resume else "Resume it with --resume, or choose"
        raise OutputError(f"{storage.location} already contains {used[0]}. {hint} another --out.")
    return None


def _collect(
    results: Iterator[ShardResult | FailedShard], advance: Callable[[int], None]
) -> tuple[Counter[str], list[FailedShard]]:
    """Count the rows by status, and list the shards that failed."""
    statuses, failed = Counter[str](), []
    for result in results:
        advance(result.images)
        if isinstance(result, FailedShard):
            failed.append(result)
        else:
            statuses.update(result.statuses)
    return statuses, failed
