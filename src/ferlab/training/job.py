"""`Job`: one training with all its inputs resolved, and the checks before it begins or resumes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferlab import backend as backends
from ferlab.backend import Devices
from ferlab.data import Dataset, Split
from ferlab.errors import NetworkError, RecipeError, RunError
from ferlab.evaluation.trained_model import TrainedModel
from ferlab.models import plugin_sha256
from ferlab.protocol import selection_splits
from ferlab.recipes import Recipe
from ferlab.results import Environment
from ferlab.runs import RunFolder
from ferlab.training.distillation import open_teachers
from ferlab.training.initial_network import open_initial_network

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, with all its inputs resolved.

    Args:
        run: the run folder.
        recipe: the recipe, with all changes.
        seed: seed of initial weights, order, augmentation and dropout.
        policy: dtype policy.
        dataset: the whole dataset, for its summary and for copies across splits.
        selected_on: the splits that the best epoch is selected on.
        teachers: teachers for distillation.
        build: builds the model to start from, always the same; None for the architecture of the recipe.
        devices: the devices that each batch is divided among.
        start: the network that the training starts from, if the recipe names one.
    """

    run: RunFolder
    recipe: Recipe
    seed: int
    policy: str
    dataset: Dataset
    selected_on: tuple[Split, ...]
    teachers: tuple[TrainedModel, ...]
    build: "Callable[[], keras.Model] | None"
    devices: Devices
    start: TrainedModel | None


def resolve_job(
    run: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    build: "Callable[[], keras.Model] | None",
    devices: Devices,
) -> Job:
    """Check that the recipe can be trained on the dataset, and resolve its splits, dtype policy and other networks.

    Args and errors as in `Job` and `train`.
    """
    _check_batch_size(recipe, backends.count_devices(devices))
    selected_on = selection_splits(recipe, dataset)
    try:
        teachers, start = open_teachers(recipe, dataset), open_initial_network(recipe, dataset)
    except RunError as error:
        raise NetworkError(str(error)) from None
    return Job(
        run=run,
        recipe=recipe,
        seed=seed,
        policy=run.environment().policy if run.exists() else backends.resolve_policy(recipe.policy),
        dataset=dataset,
        selected_on=selected_on,
        teachers=teachers,
        build=build,
        devices=devices,
        start=start,
    )


def begin(job: Job, resume: bool) -> None:
    """Write the config and environment of a new run, or check that a run to be resumed matches."""
    if job.run.exists():
        check_same_run(job.run, job.recipe, job.dataset, job.seed, resume)
        _check_same_code(job)
        return
    environment = Environment(
        **backends.describe(job.devices),
        policy=job.policy,
        seed=job.seed,
        dataset=job.dataset.summary(),
        skipped=job.dataset.skipped,
        plugin_sha256=None if job.build else plugin_sha256(job.recipe.architecture),
        teachers_sha256=_teachers_sha256(job),
    )
    job.run.write_environment(environment)
    job.run.write_config(job.recipe, job.seed, job.dataset.target)


def _teachers_sha256(job: Job) -> tuple[str, ...]:
    return tuple(hashlib.sha256(teacher.path.read_bytes()).hexdigest() for teacher in job.teachers)


def check_same_run(run: RunFolder, recipe: Recipe, dataset: Dataset, seed: int, resume: bool) -> None:
    """Reject to resume a run that was not asked to be resumed, or that has another recipe, seed or dataset."""
    if not resume:
        raise RunError(f"{run.path} already contains a run. Resume it with --resume, or choose another --out.")
    if run.recipe().training_fields() != recipe.training_fields() or run.seed() != seed:
        raise RunError(f"{run.path} contains a run of another recipe or seed. Choose another --out.")
    trained_on = run.dataset()
    target = trained_on.target and dataset.target  # earlier versions did not record it
    if trained_on != replace(dataset.summary(), source=trained_on.source, target=target):
        raise RunError(f"{run.path} was trained on different data than {dataset.source}. Choose another --out.")


def _check_same_code(job: Job) -> None:
    """Reject to resume a run with other devices, plugins or teachers: its numbers would have two origins."""
    import keras

    started, backend = job.run.environment(), keras.config.backend()
    devices = backends.count_devices(job.devices)
    if started.num_devices != devices:
        raise RunError(
            f"{job.run.path} was started on {started.num_devices} devices, not {devices}. Resume it with the same "
            "--devices on such a machine, or choose another --out."
        )
    if job.recipe.teachers and started.teachers_sha256 not in ((), _teachers_sha256(job)):
        raise RunError(
            f"{job.run.path} was started with other teachers: a file of {', '.join(job.recipe.teachers)} has changed "
            "since. Restore it, or choose another --out."
        )
    if started.backend != backend:
        raise RunError(
            f"{job.run.path} was started with the backend {started.backend}, not {backend}. Pass --backend "
            f"{started.backend}, or choose another --out."
        )
    if not job.build and started.plugin_sha256 != plugin_sha256(job.recipe.architecture):
        raise RunError(
            f"{job.run.path} was started with another version of the plugin that defines '{job.recipe.architecture}'. "
            "Restore that version, or choose another --out."
        )


def _check_batch_size(recipe: Recipe, devices: int) -> None:
    """Reject a batch that cannot be divided evenly among the devices."""
    if recipe.batch_size % devices:
        raise RecipeError(
            f"A batch of {recipe.batch_size} images cannot be divided among {devices} devices. Change it, for example "
            f"with --set batch_size={devices * max(1, round(recipe.batch_size / devices))}."
        )
