"""`predict_shards`: predict the shards of a job with workers on a Ray cluster, and replace workers that die."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ferlab.distributed.shards import ShardedJob, inputs_file
from ferlab.distributed.storage import Storage
from ferlab.distributed.worker import PredictorCopy, ShardResult, Worker
from ferlab.errors import ClusterError, FerlabError
from ferlab.predict.predictor import Predictor

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle
    from ray.exceptions import RayTaskError

MAX_ATTEMPTS = 3  # at a shard whose worker dies


@dataclass(frozen=True, kw_only=True)
class FailedShard:
    """A shard that has no table, because its worker died each time.

    Args:
        images: number of its images.
        inputs: the file that lists them.
    """

    images: int
    inputs: str


class _Call(NamedTuple):
    worker: "ActorHandle"
    shard: int | None  # None while the worker starts


def count_workers(cpus_per_worker: int) -> int:
    """Return the number of workers for which the nodes of the cluster have CPUs."""
    import ray

    cpus = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return sum(int(number // cpus_per_worker) for number in cpus)


def predict_shards(
    predictor: Predictor,
    storage: Storage,
    job: ShardedJob,
    shards: Sequence[int],
    *,
    folder: Path,
    workers: int,
    cpus_per_worker: int = 1,
    min_confidence: float = 0.0,
) -> Generator[ShardResult | FailedShard, None, None]:
    """Predict shards of a job. Ray must be connected.

    Each worker does one shard at a time. A shard whose worker or node dies is given to another worker, up to three
    times. Workers for which the cluster has no place yet join later.

    Args:
        predictor: the predictor. The workers get a copy of it with its files.
        storage: the output folder.
        job: the job in it.
        shards: numbers of the shards.
        folder: where relative paths of images begin.
        workers: number of workers.
        cpus_per_worker: CPUs, and threads, of each worker.
        min_confidence: threshold, 0..1; faces below it get the status `uncertain`.

    Yields:
        The result of each shard, in the order in which they end.

    Raises:
        ClusterError: if a node cannot read the inputs or the output folder, or no worker starts.
        OutputError: if a table cannot be written.
    """
    import ray

    copy = ray.put(PredictorCopy.of(predictor))
    worker_class: Any = ray.remote(Worker).options(num_cpus=cpus_per_worker, scheduling_strategy="SPREAD")

    def start() -> "ActorHandle":
        return worker_class.remote(
            copy,
            threads=cpus_per_worker,
            storage=storage,
            folder=folder,
            samples=job.samples,
            min_confidence=min_confidence,
        )

    yield from _Pool(job, shards, start).run(min(workers, len(shards)))


class _Pool:
    """Runs shards on workers, one at a time each."""

    def __init__(self, job: ShardedJob, shards: Sequence[int], start: Callable[[], "ActorHandle"]) -> None:
        self.job, self.start = job, start
        self.waiting, self.unfinished = deque(shards), len(shards)
        self.deaths: Counter[int | None] = Counter()  # of the workers, by shard; None: of those that were starting
        self.calls: dict[ObjectRef, _Call] = {}

    def run(self, workers: int) -> Iterator[ShardResult | FailedShard]:
        """Yield the results in the order in which they end."""
        import ray

        try:
            for _ in range(workers):
                self._start_worker()
            while self.unfinished:
                [done], _ = ray.wait(list(self.calls), num_returns=1)
                yield from self._end(done, self.calls.pop(done), workers)
        finally:
            for call in self.calls.values():
                ray.kill(call.worker)

    def _start_worker(self) -> None:
        worker = self.start()
        self.calls[worker.check.remote()] = _Call(worker, None)

    def _end(self, done: "ObjectRef", call: _Call, workers: int) -> Iterator[ShardResult | FailedShard]:
        """Handle the end of a call, and give the worker its next shard."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            result = ray.get(done)
        except RayTaskError as error:
            raise _as_ferlab_error(error) from None
        except RayError as error:  # the worker or its node has died, or cannot be reached
            ray.kill(call.worker)
            self.deaths[call.shard] += 1
            if call.shard is None and self.deaths[None] >= MAX_ATTEMPTS * workers:
                if not self.calls:
                    raise ClusterError(f"No worker process starts on the cluster: {_last_line(error)}") from None
                return  # the other workers go on
            yield from self._repeat(call.shard)
            if self.waiting:
                self._start_worker()
            return
        self.deaths.pop(call.shard, None)
        if call.shard is not None:
            self.unfinished -= 1
            yield result
        if self.waiting:
            shard = self.waiting.popleft()
            self.calls[call.worker.predict.remote(shard)] = _Call(call.worker, shard)
        else:
            ray.kill(call.worker)  # frees its CPUs

    def _repeat(self, shard: int | None) -> Iterator[FailedShard]:
        """Repeat a shard whose worker died, unless it was the last attempt."""
        if shard is None:
            return
        if self.deaths[shard] < MAX_ATTEMPTS:
            self.waiting.append(shard)
        else:
            self.unfinished -= 1
            yield FailedShard(images=self.job.size(shard), inputs=inputs_file(shard))


def _as_ferlab_error(error: "RayTaskError") -> FerlabError:
    """Return the error that a worker raised."""
    return error.cause if isinstance(error.cause, FerlabError) else ClusterError(f"A worker failed: {error.cause!r}")


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
