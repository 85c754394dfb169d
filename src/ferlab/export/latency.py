"""How fast models answer: latency and faces per second, by batch size and threads, of any number of models in turns.

Every model runs in a process of its own, one at a time: threads that wait for work, or memory that one of them holds,
do not slow down the next one. The turns change from model to model many times, so that whatever else the machine does
in the meantime hits all of them.
"""

import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.backend import describe_machine, jit_setting, quiet_start, start_keras
from ferlab.errors import FerlabError
from ferlab.evaluation.evaluate import Classifier, find_model
from ferlab.evaluation.metrics import log_softmax
from ferlab.models import load_model
from ferlab.plugins import load_plugin
from ferlab.predict.artifact import SUFFIXES, Artifact
from ferlab.progress import bar
from ferlab.runs import SCHEMA

if TYPE_CHECKING:
    import keras

BATCH_SIZES = (1, 8, 32, 128)
TURNS = 5
WARM_UP = 3  # calls that are not counted: the first ones allocate memory, and Keras traces its graph
LEAST_CALLS = 3  # in a turn, however long they take

Measure = Callable[[int, float], list[float]]  # batch size and seconds to spend, to the seconds of each call


def benchmark(
    models: Sequence[str | Path],
    *,
    threads: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seconds: float = 2.0,
    plugins: Sequence[str | Path] = (),
    quiet: bool = False,
) -> dict[str, Any]:
    """Measures how fast models answer, on this machine, from uint8 images to probabilities.

    A script that calls this must guard its own start with `if __name__ == "__main__":`, for the processes import it.

    Args:
        models: run folders, `.keras` files, artifacts (`.onnx`, `.tflite`), or `default` for the one in the package.
        threads: numbers of processor threads; None for one, and for all cores. Keras obeys on TensorFlow alone.
        batch_sizes: images in a call.
        seconds: to spend on each model, for each number of threads and batch size.
        plugins: files with networks of one's own, as in `ferlab.load_plugin`, that models need to be loaded.
        quiet: without a progress bar.

    Returns:
        `schema, machine, seconds, rows`. A row holds `model, threads, batch_size`, the `calls` that were counted, the
        median and the 99th percentile of their latencies, `p50_ms` and `p99_ms`, in milliseconds, `faces_per_second`,
        and the `ratio` of that to the first model's. The last two are medians over the turns.

    Raises:
        FerlabError: if a model cannot be loaded, or a number is below 1.
    """
    cores = os.cpu_count() or 1
    threads = tuple(threads or sorted({1, cores}))
    if not models or min((*threads, *batch_sizes)) < 1 or seconds <= 0:
        raise FerlabError("Give at least one model, and numbers above 0.")
    for model in models:
        find_model(model)
    machine = describe_machine()
    rows: list[dict[str, Any]] = []
    with bar("benchmark", len(threads) * len(models) * (1 + len(batch_sizes) * TURNS), quiet) as advance:
        for number in threads:
            with ExitStack() as stack:
                measures = []
                for model in models:
                    measures.append(stack.enter_context(_worker(str(model), number, plugins)))
                    advance(1)
                for batch_size in batch_sizes:
                    turns = _take_turns(measures, batch_size, seconds, advance)
                    rows += _rows([str(model) for model in models], number, batch_size, turns)
    return {"schema": SCHEMA, "machine": machine, "seconds": seconds, "rows": rows}


def call_seconds(classify: Classifier, batches: Iterable[np.ndarray], warm_up: int = WARM_UP) -> list[float]:
    """Times calls, one for each batch.

    Args:
        classify: a function of images.
        batches: what to hand it; making them is not timed.
        warm_up: how many calls with the first batch come before, and are not counted.

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
    """A Keras model as fast as Keras runs it on single batches: by its compiled `predict_on_batch`.

    Args:
        model: from images to logits.
        temperature: by which the logits are divided.

    Returns:
        A function of images `(N, 48, 48)` uint8 that returns probabilities `(N, K)`.
    """
    model.compile(jit_compile=jit_setting())

    def classify(images: np.ndarray) -> np.ndarray:
        logits = model.predict_on_batch(images[..., None].astype(np.float32))
        return np.exp(log_softmax(logits / temperature))

    return classify


def _take_turns(
    measures: list[Measure], batch_size: int, seconds: float, advance: Callable[[int], None]
) -> list[list[list[float]]]:
    """The seconds of each call, by model and turn."""
    turns: list[list[list[float]]] = [[] for _ in measures]
    for _ in range(TURNS):
        for measure, own in zip(measures, turns, strict=True):
            own.append(measure(batch_size, seconds / TURNS))
            advance(1)
    return turns


def _rows(models: list[str], threads: int, batch_size: int, turns: list[list[list[float]]]) -> Iterator[dict[str, Any]]:
    """A row for each model, from the seconds of its calls in each turn."""
    rates = [[batch_size * len(calls) / sum(calls) for calls in own] for own in turns]
    for model, own, rate in zip(models, turns, rates, strict=True):
        calls = [seconds for turn in own for seconds in turn]
        yield {
            "model": model,
            "threads": threads,
            "batch_size": batch_size,
            "calls": len(calls),
            "p50_ms": 1000 * float(np.percentile(calls, 50)),
            "p99_ms": 1000 * float(np.percentile(calls, 99)),
            "faces_per_second": statistics.median(rate),
            "ratio": statistics.median(own / first for own, first in zip(rate, rates[0], strict=True)),
        }


@contextmanager
def _worker(model: str, threads: int, plugins: Sequence[str | Path]) -> Iterator[Measure]:
    """A process that holds one model. Yields what has it measure."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, model, threads, [str(path) for path in plugins]), daemon=True)
    process.start()
    there.close()

    def receive() -> list[float]:
        seconds, error = here.recv()
        if error:
            raise FerlabError(error)
        return seconds

    def measure(batch_size: int, seconds: float) -> list[float]:
        here.send((batch_size, seconds))
        return receive()

    try:
        receive()  # the model is loaded
        yield measure
    except (EOFError, BrokenPipeError):
        raise FerlabError(f"The process that ran {model} has ended: is there memory enough for it?") from None
    finally:
        here.close()
        process.join()


def _serve(connection: Connection, model: str, threads: int, plugins: list[str]) -> None:
    """What a process does: it loads a model, and measures it as often as it is asked to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends this one
    try:
        classify = _load(model, threads, plugins)
    except FerlabError as error:
        connection.send(([], str(error)))
        return
    connection.send(([], ""))
    generator = np.random.default_rng(0)
    with suppress(EOFError, BrokenPipeError):  # until nobody asks any more
        while True:
            batch_size, seconds = connection.recv()
            images = generator.integers(0, 256, (batch_size, 48, 48), dtype=np.uint8)
            connection.send((call_seconds(classify, _repeated(images, seconds)), ""))


def _repeated(images: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    """The same batch again and again, until the time is over, which begins with the second one."""
    yield images
    calls, end = 1, time.perf_counter() + seconds
    while calls < LEAST_CALLS or time.perf_counter() < end:
        yield images
        calls += 1


def _load(model: str, threads: int, plugins: list[str]) -> Classifier:
    """A model that answers each call in one batch, on so many threads."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
    for plugin in plugins:
        load_plugin(plugin)
    path = find_model(model)
    if path.suffix not in SUFFIXES:
        start_keras()
        return compiled_classifier(load_model(path))
    with quiet_start():
        artifact = Artifact(path, threads=threads)
    return lambda images: artifact.probabilities(images, batch_size=len(images))
