"""Latency and throughput of trained models, by batch size and number of threads.

Each model runs in its own process, so that idle threads and memory of one model do not slow down the next. Only one
process works at a time. The models take turns many times in each setting, so that other load on the machine affects
all of them alike.
"""

import functools
import multiprocessing
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.backend import Machine, describe_machine, jit_setting
from ferlab.errors import FerlabError
from ferlab.evaluation.metrics import softmax
from ferlab.evaluation.trained_model import Classifier, find_model, open_model
from ferlab.plugins import load_plugin
from ferlab.progress import bar

if TYPE_CHECKING:
    import keras

BATCH_SIZES = (1, 8, 32, 128)
TURNS = 5
WARM_UP = 3  # untimed calls: the first ones allocate memory, and Keras traces its graph
MIN_CALLS = 3  # minimum number of calls in each turn

Measure = Callable[[int, float], list[float]]  # (batch size, seconds to spend) to the seconds of each call


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Latency and throughput of one model in one setting.

    Args:
        model: as given to `benchmark`.
        threads: number of CPU threads.
        batch_size: images in a call.
        calls: number of timed calls.
        p50_ms: median latency of a call in milliseconds.
        p99_ms: 99th percentile of the latency in milliseconds.
        faces_per_second: throughput, the median over the turns.
        ratio: throughput divided by that of the first model, the median over the turns.
    """

    model: str
    threads: int
    batch_size: int
    calls: int
    p50_ms: float
    p99_ms: float
    faces_per_second: float
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The result of `benchmark`.

    Args:
        machine: the machine on which it was measured.
        seconds: time spent on each model in each setting.
        rows: one for each number of threads, batch size and model.
    """

    machine: Machine
    seconds: float
    rows: tuple[Latency, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A model and how to run it, in a worker process.

    Args:
        model: as given to `benchmark`.
        threads: number of CPU threads.
        plugins: plugin files to load first.
    """

    model: str
    threads: int
    plugins: tuple[str, ...]


def benchmark(
    models: Sequence[str | Path],
    *,
    threads: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seconds: float = 2.0,
    plugins: Sequence[str | Path] = (),
    quiet: bool = False,
) -> Benchmark:
    """Measure latency and throughput on this machine, from uint8 images to probabilities.

    The worker processes import the main module. A script that calls this function must guard its entry point with
    `if __name__ == "__main__":`.

    Args:
        models: run folders, `.keras` files, artifacts (`.onnx`, `.tflite`), or names of networks in the package.
        threads: numbers of CPU threads. None measures one thread and all cores. Keras respects this on
            TensorFlow only.
        batch_sizes: images in a call.
        seconds: time to spend on each model, for each number of threads and batch size.
        plugins: plugin files that the models need, as in `ferlab.load_plugin`.
        quiet: do not show a progress bar.

    Returns:
        The machine, and one row for each number of threads, batch size and model.

    Raises:
        FerlabError: if a model cannot be loaded, a number is below 1, or a worker process dies.
    """
    threads = tuple(threads or sorted({1, os.cpu_count() or 1}))
    if not models or min((*threads, *batch_sizes)) < 1 or seconds <= 0:
        raise FerlabError("Pass at least one model, and numbers of threads, batch sizes and seconds above 0.")
    for model in models:
        find_model(model)
    machine = describe_machine()
    jobs = [Job(model=str(model), threads=1, plugins=tuple(map(str, plugins))) for model in models]
    rows: list[Latency] = []
    with bar("benchmark", len(threads) * len(models) * (1 + len(batch_sizes) * TURNS), quiet) as advance:
        for number in threads:
            rows += _measure_jobs([replace(job, threads=number) for job in jobs], batch_sizes, seconds, advance)
    return Benchmark(machine=machine, seconds=seconds, rows=tuple(rows))


def call_seconds(classify: Classifier, batches: Iterable[np.ndarray], warm_up: int = WARM_UP) -> list[float]:
    """Time one call for each batch.

    Args:
        classify: the function to time.
        batches: its inputs. The time to produce them does not count.
        warm_up: number of untimed calls with the first batch.

    Returns:
        The seconds of each call.
    """
    seconds: list[float] = []
    for batch in batches:
        if not seconds:
            for _ in range(warm_up):
                classify(batch)
        started = time.perf_counter()
        classify(batch)
        seconds.append(time.perf_counter() - started)
    return seconds


def compiled_classifier(model: "keras.Model", temperature: float = 1.0) -> Classifier:
    """Compile a Keras model for low latency: `predict_on_batch` is the fastest way to run single batches.

    Args:
        model: maps images to logits.
        temperature: divides the logits.

    Returns:
        A function from images `(N, 48, 48)` uint8 to probabilities `(N, K)`.
    """
    model.compile(jit_compile=jit_setting())

    def classify(images: np.ndarray) -> np.ndarray:
        logits = model.predict_on_batch(images[..., None].astype(np.float32))
        return softmax(logits / temperature)

    return classify


def _measure_jobs(
    jobs: Sequence[Job], batch_sizes: Sequence[int], seconds: float, advance: Callable[[int], None]
) -> Iterator[Latency]:
    """Measure all jobs at each batch size."""
    with ExitStack() as stack:
        measures = []
        for job in jobs:
            measures.append(stack.enter_context(_worker(job)))
            advance(1)
        for batch_size in batch_sizes:
            yield from _rows(jobs, batch_size, _take_turns(measures, batch_size, seconds, advance))


def _take_turns(
    measures: Sequence[Measure], batch_size: int, seconds: float, advance: Callable[[int], None]
) -> list[list[list[float]]]:
    """Return the seconds of each call, by model and turn."""
    turns: list[list[list[float]]] = [[] for _ in measures]
    for _ in range(TURNS):
        for measure, model_turns in zip(measures, turns, strict=True):
            model_turns.append(measure(batch_size, seconds / TURNS))
            advance(1)
    return turns


def _rows(jobs: Sequence[Job], batch_size: int, turns: list[list[list[float]]]) -> Iterator[Latency]:
    """Summarize the seconds of each call, one row for each job."""
    throughputs = [[batch_size * len(calls) / sum(calls) for calls in model_turns] for model_turns in turns]
    for job, model_turns, throughput in zip(jobs, turns, throughputs, strict=True):
        calls = [seconds for turn in model_turns for seconds in turn]
        ratios = [mine / first for mine, first in zip(throughput, throughputs[0], strict=True)]
        yield Latency(
            model=job.model,
            threads=job.threads,
            batch_size=batch_size,
            calls=len(calls),
            p50_ms=1000 * float(np.percentile(calls, 50)),
            p99_ms=1000 * float(np.percentile(calls, 99)),
            faces_per_second=statistics.median(throughput),
            ratio=statistics.median(ratios),
        )


@contextmanager
def _worker(job: Job) -> Iterator[Measure]:
    """Start a process that holds one model. Yields the function that measures it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_start_worker) as pool:

        def run(function: Callable[..., Any], *arguments: Any) -> Any:
            try:
                return pool.submit(function, job, *arguments).result()
            except BrokenProcessPool:
                raise FerlabError(
                    f"The process that ran {job.model} ended unexpectedly, perhaps for lack of memory. "
                    "Pass fewer models or smaller batch sizes."
                ) from None

        run(_prepare)
        yield functools.partial(run, _measure)


def _start_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Exit when the main process was killed: its executor cannot stop this worker then."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _prepare(job: Job) -> None:
    """Load the model of a job in this process."""
    try:
        _load(job)
    except FerlabError as error:
        raise FerlabError(str(error)) from None  # subclasses with other arguments cannot be unpickled


def _measure(job: Job, batch_size: int, seconds: float) -> list[float]:
    """Time the calls of a prepared job on random images."""
    images = np.random.default_rng(0).integers(0, 256, (batch_size, 48, 48), dtype=np.uint8)
    return call_seconds(_load(job), _repeat(images, seconds))


def _repeat(images: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    """Yield the same batch until the time is over. The time starts with the second batch, after the warm-up."""
    yield images
    calls, end = 1, time.perf_counter() + seconds
    while calls < MIN_CALLS or time.perf_counter() < end:
        yield images
        calls += 1


@functools.cache
def _load(job: Job) -> Classifier:
    """Load the model of a job once in a process. It runs each call as one batch."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(job.threads), "TF_NUM_INTEROP_THREADS": "1"}
    for plugin in job.plugins:
        load_plugin(plugin)
    opened = open_model(job.model, threads=job.threads)
    artifact = opened.artifact
    if artifact is None:
        return compiled_classifier(opened.keras_model)
    return lambda images: artifact.probabilities(images, batch_size=len(images))
