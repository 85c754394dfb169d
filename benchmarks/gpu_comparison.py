"""Train many recipes with several seeds on one GPU within a time limit.

    python benchmarks/gpu_comparison.py fair_newmodel fair_resnet50 --data fer2013.zip --seeds 3 --minutes 9 --out gpu

Small networks leave most of a GPU idle, so several trainings share it, each in a process of its own. The first seed of
a recipe compiles the training step; the others start after its first epoch, and take the step from the cache. Trainings
that still run when the time is up are interrupted after their current step and keep their best epoch; those that have
not begun are left out. Both are reported. Wherever it was interrupted, the same command continues.

`--out` holds one run folder per training. `--unlabeled` adds predictions for images without labels to each, and
`--pack FILE.zip` collects everything but the models and checkpoints, for a machine from which little can be copied.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferlab import load_dataset, train
from ferlab.data.unlabeled import load_unlabeled
from ferlab.evaluation.evaluate import predict_unlabeled
from ferlab.recipes import find_recipes
from ferlab.runs import RunFolder

WORKER = "--worker"
FINISHING_SECONDS = 60  # reserved at the end: interrupted trainings save their best epoch and predict
NOT_PACKED = (".keras", ".lock")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One recipe with one seed."""

    recipe: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return f"{self.recipe}-seed{self.seed}"


def main() -> None:
    options = parse()
    deadline = time.monotonic() + 60 * options.minutes - FINISHING_SECONDS
    recipes = [recipe.name for recipe in find_recipes(options.recipes)]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    waiting = [Training(recipe=name, seed=seed) for seed in seeds for name in recipes]
    options.out.mkdir(parents=True, exist_ok=True)
    work_through(waiting, options, deadline)
    report(waiting, options.out)
    if options.pack:
        pack(options.out, options.pack)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", help="recipes or groups")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ferplus", metavar="fer2013new.csv", help="train all recipes on the votes of FER+")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--first-seed", type=int, default=0, help="the seeds go on from this one")
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit of everything")
    parser.add_argument("--processes", type=int, default=6, help="trainings that share the GPU")
    parser.add_argument("--set", action="append", default=[], metavar="[RECIPE:]KEY=VALUE", help="change recipe fields")
    parser.add_argument("--unlabeled", metavar="SOURCE", help="images without labels to predict with every run")
    parser.add_argument("--pack", type=Path, metavar="FILE.zip")
    return parser.parse_args()


def work_through(trainings: list[Training], options: argparse.Namespace, deadline: float) -> None:
    """Keep as many trainings running as there are processes, until all are done or the time is up."""
    waiting, running = list(trainings), dict[Training, subprocess.Popen]()
    while running or waiting:
        if time.monotonic() >= deadline:
            waiting.clear()
            for process in running.values():
                process.send_signal(signal.SIGINT)
            for process in running.values():
                process.wait()
        unfinished = {*waiting, *running}
        ready = [training for training in waiting if may_start(training, unfinished, options)]
        for training in ready[: max(0, options.processes - len(running))]:
            waiting.remove(training)
            running[training] = start(training, options)
        for training in [training for training, process in running.items() if process.poll() is not None]:
            print(f"{time.strftime('%X')} {training.name}: exit {running.pop(training).returncode}", flush=True)
        time.sleep(0.2)


def may_start(training: Training, unfinished: set[Training], options: argparse.Namespace) -> bool:
    """Whether the first seed of this recipe has compiled the training step, or has ended, or is this training."""
    first = Training(recipe=training.recipe, seed=options.first_seed)
    return training == first or first not in unfinished or bool(RunFolder(options.out / first.name).history())


def start(training: Training, options: argparse.Namespace) -> subprocess.Popen:
    """Start a training in a process of its own, which is this file with `--worker`."""
    job = {
        "recipe": training.recipe,
        "seed": training.seed,
        "data": {"source": options.data, "ferplus": options.ferplus, "target": "ferplus" if options.ferplus else None},
        "out": str(options.out / training.name),
        "changes": dict(change.split("=", 1) for change in changes(training.recipe, options.set)),
        "unlabeled": options.unlabeled,
    }
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": str(options.out.resolve() / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # small operations are many, and compiled by every process
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the processes share the memory of the GPU
    }
    with (options.out / f"{training.name}.log").open("a") as log:
        command = [sys.executable, __file__, WORKER, json.dumps(job)]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def work(job: dict[str, Any]) -> None:
    """Train, and predict. After Ctrl-C the best epoch is saved and predicts."""
    dataset = load_dataset(**job["data"])
    run = train(
        job["recipe"], dataset, job["out"], seed=job["seed"], resume=True, backend="jax", quiet=False, **job["changes"]
    )
    if job["unlabeled"] and run.model_file.is_file():
        predict_unlabeled(run.path, load_unlabeled(job["unlabeled"]), run.path / "unlabeled.npz")


def changes(recipe: str, texts: list[str]) -> Iterator[str]:
    """The changes that apply to a recipe."""
    for text in texts:
        target, colon, change = text.partition(":")
        if not colon or "=" in target:
            yield text
        elif target == recipe:
            yield change


def report(trainings: list[Training], out: Path) -> None:
    """Print how each training ended."""
    for training in trainings:
        run = RunFolder(out / training.name)
        result = run.result() if run.exists() else None
        if result is None or result.selection_accuracy is None:
            print(f"{training.name}: {'no result, see its log' if run.exists() else 'not begun'}")
            continue
        planned, seconds = run.recipe().epochs, result.seconds or 0
        accuracy = 100 * result.selection_accuracy
        print(f"{training.name}: {result.status}, {result.epochs}/{planned} epochs, {accuracy:.2f} %, {seconds:.0f} s")


def pack(out: Path, archive: Path) -> None:
    """Zip the run folders and logs without models, checkpoints and compiled code."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(file for file in out.rglob("*") if file.is_file()):
            inner = path.relative_to(out)
            if not {"checkpoint", "compiled"} & set(inner.parts) and not path.name.endswith(NOT_PACKED):
                packed.write(path, inner)
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        work(json.loads(sys.argv[2]))
    else:
        main()
