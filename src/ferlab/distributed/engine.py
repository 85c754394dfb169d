"""`RayEngine`: run the trainings of a comparison or a sweep on a Ray cluster."""

import os
import platform
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferlab.backend import start_keras
from ferlab.distributed.cluster import connected
from ferlab.distributed.progress import ClusterProgress
from ferlab.distributed.study import with_shared_study
from ferlab.engine import EndedRun, Outcomes, PlannedRun, Task
from ferlab.errors import ClusterError, RunError
from ferlab.files import make_folder
from ferlab.formatting import counted
from ferlab.plugins import load_plugin, loaded_plugins
from ferlab.progress import ComparisonProgress
from ferlab.search.trials import Search

if TYPE_CHECKING:
    import ray

MAX_RETRIES = 10  # how often a run is started again after its worker or node died
POLL_SECONDS = 2.0
STOP_SECONDS = 120.0  # for the current step of each training after Ctrl-C
LOCK_SECONDS = 300.0  # for a worker to end whose node was lost


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Runs each training as a Ray task.

    A training whose worker or node dies is started again elsewhere, and continues after its last complete epoch. All
    nodes need the same version of ferlab, and see the output folder at the same path.

    Args:
        address: address of a running cluster, or `auto`; None to start Ray on this machine.
        cpus_per_run: CPU cores of each run; None for all cores of a node, as without Ray, or one core beside GPUs.
            Another number of threads adds up in another order, so that the results differ from those without Ray.
        gpus_per_run: GPUs of each run, such as 0.25 for four runs that share one.
    """

    address: str | None = None
    cpus_per_run: int | None = None
    gpus_per_run: float = 0.0

    def run(self, task: Task, runs: Sequence[PlannedRun], first: int, quiet: bool) -> Outcomes:
        """Run trainings; see `ferlab.engine.Engine.run`.

        Raises:
            ClusterError: if the cluster cannot be reached, or Ray on this machine lacks the resources for a run.
        """
        with connected(self.address), ClusterProgress(runs, first, quiet) as progress:
            return self._run(task, runs, progress)

    def _run(self, task: Task, runs: Sequence[PlannedRun], progress: ClusterProgress) -> Outcomes:
        import ray

        remote = ray.remote(**self._resources(progress))(_run_task)
        if isinstance(task, Search):
            task = with_shared_study(task)
        shared, process = ray.put(task), Process.like_this()  # the dataset is sent to each node once
        pending = {remote.remote(shared, number, run.path, process): number for number, run in enumerate(runs)}
        ended: dict[int, EndedRun | None] = {}
        try:
            while pending:
                ready, _ = ray.wait(list(pending), timeout=POLL_SECONDS)
                for reference in ready:
                    number = pending.pop(reference)
                    ended[number] = run = _outcome(reference, runs[number].path)
                    if run:
                        progress.end(run)
                progress.update()
        except BaseException as error:
            progress.print("Stopping the runs after their current steps.")
            _stop(list(pending))
            if isinstance(error, KeyboardInterrupt):
                return Outcomes(ended=ended, interrupted=True)
            raise
        return Outcomes(ended=ended)

    def _resources(self, progress: ClusterProgress) -> dict[str, Any]:
        """Return the options of a task: what it needs, and environment variables that make it keep to that."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        cpus = self.cpus_per_run or (1 if self.gpus_per_run else min((int(node["CPU"]) for node in nodes), default=0))
        if not cpus:
            raise ClusterError("The cluster has no node with CPU cores yet. Say with --cpus-per-run what a run needs.")
        if not any(node["CPU"] >= cpus and node.get("GPU", 0) >= self.gpus_per_run for node in nodes):
            needed = counted(cpus, "CPU core") + (f" and {self.gpus_per_run:g} GPUs" if self.gpus_per_run else "")
            if self.address is None:
                raise ClusterError(f"A run needs {needed}, which this machine does not have.")
            progress.print(f"No node has {needed} yet. Waiting for one.")
        return {
            "num_cpus": cpus,
            "num_gpus": self.gpus_per_run,
            "max_retries": MAX_RETRIES,
            "runtime_env": {"env_vars": self._environment()},
        }

    def _environment(self) -> dict[str, str]:
        # Ray reuses workers with the same variables, in which other versions of the plugins may be loaded.
        variables = {"FERLAB_ENGINE": uuid.uuid4().hex}
        if self.cpus_per_run:
            variables["TF_NUM_INTRAOP_THREADS"] = str(self.cpus_per_run)
        if 0 < self.gpus_per_run < 1:  # runs that share a GPU must not reserve its memory
            variables |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        return variables


@dataclass(frozen=True, kw_only=True)
class Process:
    """What a worker needs to be like the process that started the runs.

    Args:
        folder: working directory, so that relative paths mean the same files.
        backend: the Keras backend.
        plugins: plugin files.
    """

    folder: Path
    backend: str
    plugins: tuple[Path, ...]

    @classmethod
    def like_this(cls) -> "Process":
        """Describe this process."""
        import keras

        return cls(folder=Path.cwd(), backend=keras.config.backend(), plugins=loaded_plugins())

    def prepare(self) -> None:
        """Make this process like the described one.

        Raises:
            ClusterError: if a folder or plugin is not on this machine.
        """
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ClusterError(
                f"The node {platform.node()} does not see {self.folder} ({error.strerror}). Use storage that all nodes "
                "share."
            ) from None
        start_keras(self.backend)
        for plugin in self.plugins:
            load_plugin(plugin)


def _run_task(task: Task, number: int, path: Path, process: Process) -> EndedRun | None:
    """Run a training in this worker. A lost worker may still be writing: wait until it has ended."""
    import filelock

    process.prepare()
    make_folder(path.parent)
    try:
        with filelock.FileLock(path.with_name(f".{path.name}.worker.lock"), timeout=LOCK_SECONDS):
            return task(number, ComparisonProgress([1.0] * (number + 1), quiet=True))
    except filelock.Timeout:
        raise RunError(f"{path} is still in use by a worker that was lost. Resume with --resume.") from None


def _outcome(reference: "ray.ObjectRef", path: Path) -> EndedRun | None:
    """Return how a run ended.

    Raises:
        Exception: what its task raised.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause or error from None
    except ray.exceptions.RayError as error:
        reason = f"its worker was lost, and up to {MAX_RETRIES} retries did not help ({type(error).__name__})"
        return EndedRun(path=path, outcome=f"failed: {reason}", reason=reason)


def _stop(references: list["ray.ObjectRef"]) -> None:
    """Interrupt runs, and wait until they have ended."""
    import ray

    for reference in references:
        ray.cancel(reference)
    if references:
        ray.wait(references, num_returns=len(references), timeout=STOP_SECONDS)
