"""`train`: train a recipe on a dataset into a run folder.

Gradients come from the training split, the best epoch is chosen on the selection split, and nothing else is read. Only
the `study` recipes select on the whole `test/` folder, and their results say so.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab import backend as backends
from ferlab.backend import Devices
from ferlab.data import Dataset, Split
from ferlab.errors import FerlabError, RunError, TrainingError
from ferlab.evaluation.metrics import softmax
from ferlab.evaluation.scoring import score_split
from ferlab.files import temporary_path
from ferlab.models import (
    build_trainable,
    build_without_pretrained_weights,
    count_multiply_adds,
    count_parameters,
    predict_logits,
    set_trained_weights,
)
from ferlab.progress import TrainingProgress
from ferlab.protocol import check_trainable
from ferlab.recipes import Recipe, get_recipe
from ferlab.recipes.augmentation import Augmentation
from ferlab.results import Epoch, Result, Status
from ferlab.run_arrays import Predictions
from ferlab.runs import RunFolder, read_arrays
from ferlab.training.batches import BatchStream, steps_per_pass
from ferlab.training.distillation import mean_teacher
from ferlab.training.frozen import compute_features, split_frozen_backbone
from ferlab.training.initial_network import build_with_weights
from ferlab.training.job import Job, begin, check_same_run, resolve_job
from ferlab.training.optimizers import make_optimizer
from ferlab.training.targets import image_targets, image_weights

if TYPE_CHECKING:
    import keras


def train(
    recipe: str | Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    backend: str | None = None,
    devices: Devices = "one",
    quiet: bool = True,
    **changes: Any,
) -> RunFolder:
    """Train a model.

    Args:
        recipe: a recipe or the name of one.
        dataset: a dataset with a training and a validation split.
        out: the run folder.
        seed: seed of initial weights, order, augmentation and dropout.
        resume: continue the run in `out`, if there is one. A finished run is not changed.
        backend: `tensorflow` or `jax`; None for the current one.
        devices: `all` to divide each batch among all GPUs, on the backend `jax`. The images of a last, smaller batch
            that cannot be divided evenly are left out; which ones differs in each pass.
        quiet: show no progress.
        changes: recipe fields to change, as in `Recipe.changed`.

    Returns:
        The run folder, with `model.keras` and `result.json`. After Ctrl-C its status is `interrupted`, and `resume`
        continues from the last complete epoch.

    Raises:
        DataError: if there are no training images.
        ProtocolError: if the recipe would select its best epoch on the test split, or a teacher was selected on it.
        RecipeError: if the recipe distills without teachers, or its model cannot be built.
        RunError: if a teacher was trained on different images, the network to start from does not fit, or `out`
            contains another run, is in use, or cannot be written.
        TrainingError: if the loss is not finite. The last checkpoint is kept.
    """
    backends.start_keras(backend)
    recipe = (get_recipe(recipe) if isinstance(recipe, str) else recipe).changed(changes)
    return train_recipe(recipe, dataset, Path(out), seed, resume, TrainingProgress(recipe, quiet), devices=devices)


def train_recipe(
    recipe: Recipe,
    dataset: Dataset,
    out: Path,
    seed: int,
    resume: bool,
    progress: TrainingProgress,
    build: "Callable[[], keras.Model] | None" = None,
    devices: Devices = "one",
) -> RunFolder:
    """Train a recipe, and report to a given progress. Arguments and errors are those of `train`.

    `build` builds a model in float32 to start from, instead of the architecture of the recipe.
    """
    check_trainable(dataset)
    run = RunFolder(out)
    result = run.result() if run.exists() else None
    if result and result.finished:
        check_same_run(run, recipe, dataset, seed, resume)
        return run
    job, new = resolve_job(run, recipe, dataset, seed, build, devices), not run.exists()
    with run.lock():
        begin(job, resume)
        try:
            _train(job, progress)
        except TrainingError as error:
            failed = Result(status="failed", reason=str(error), recipe=recipe.name, seed=seed, target=dataset.target)
            run.write_result(failed)
            raise
        except FerlabError:
            if new and not RunFolder(out).history():  # such as a model that cannot be built: there is nothing to resume
                run.forget()
            raise
    return run


def _train(job: Job, progress: TrainingProgress) -> None:
    """Train from the first or next epoch to the result."""
    import keras

    from ferlab.training.fused import fuse_batch_normalization

    keras.utils.clear_session()
    keras.utils.set_random_seed(job.seed)
    keras.config.set_dtype_policy(job.policy)
    try:
        progress.start(job.policy)
        with backends.on_devices(job.devices):
            model = fuse_batch_normalization(_built(job))
            inputs = _prepare_inputs(job, model, progress)
            status = _fit(job, inputs, progress)
    finally:
        keras.config.set_dtype_policy("float32")
        progress.stop()
    if job.run.history():
        result = _finish(job, model, inputs, status)
        progress.finished(result)


def _built(job: Job) -> "keras.Model":
    if job.build:
        return job.build()
    num_classes = len(job.dataset.class_names)
    if job.start:
        return build_with_weights(job.recipe, num_classes, job.start)
    return build_trainable(job.recipe.architecture, num_classes, **job.recipe.model)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model that is fitted, and its inputs.

    Args:
        trained: the model, or its head if the backbone is frozen.
        stream: training batches for it.
        selection: images `(N, 48, 48)` uint8 of the selection splits, or their features `(N, F)`.
        features_seconds: time to compute the features.
    """

    trained: "keras.Model"
    stream: BatchStream
    selection: np.ndarray
    features_seconds: float = 0.0


def _prepare_inputs(job: Job, model: "keras.Model", progress: TrainingProgress) -> Inputs:
    """Prepare the batches.

    The features of a frozen backbone never change: they are computed once, and the head alone is trained on them,
    unless augmentation, mixup or teachers need the images.
    """
    recipe, training = job.recipe, job.dataset.take(Split.TRAIN)
    selection = job.dataset.take(*job.selected_on).images
    split = split_frozen_backbone(model)
    stream = _stream(job, training, training.images)
    images_change = recipe.augmentation.active or recipe.augment_validation or recipe.mixup or recipe.teachers
    if split is None or images_change:
        return Inputs(trained=model, stream=stream, selection=selection)
    backbone, head = split
    total_steps = recipe.epochs * (recipe.steps_per_epoch or stream.steps_per_pass)
    visited = np.unique(np.concatenate([stream.indices(step) for step in range(total_steps)]))
    started = time.perf_counter()
    with progress.features(len(visited) + len(selection)) as advance:
        visited_features = compute_features(backbone, training.images[visited], advance)
        selection_features = compute_features(backbone, selection, advance)
    features = np.zeros((len(training), visited_features.shape[1]), np.float32)
    features[visited] = visited_features
    return Inputs(
        trained=head,
        stream=_stream(job, training, features),
        selection=selection_features,
        features_seconds=time.perf_counter() - started,
    )


def _stream(job: Job, training: Dataset, inputs: np.ndarray) -> BatchStream:
    recipe, devices = job.recipe, backends.num_devices()
    steps = recipe.steps_per_epoch or steps_per_pass(len(inputs), recipe.batch_size, devices)
    return BatchStream(
        inputs,
        image_targets(recipe, training),
        image_weights(recipe, training),
        batch_size=recipe.batch_size,
        devices=devices,
        augmentation=recipe.augmentation if inputs.ndim == 3 else Augmentation(),
        seed=job.seed,
        mixup=recipe.mixup,
        clean_from=max(0, recipe.epochs - recipe.clean_epochs) * steps,
        teacher=mean_teacher(job.teachers) if job.teachers else None,
        distillation=recipe.distillation,
        teacher_views=recipe.teacher_views,
    )


def _fit(job: Job, inputs: Inputs, progress: TrainingProgress) -> Status:
    """Run the remaining epochs."""
    import keras

    from ferlab.training.callbacks import Interruption, Selection, plateau_callbacks
    from ferlab.training.checkpoint import Checkpoint

    recipe, trained, stream = job.recipe, inputs.trained, inputs.stream
    steps = recipe.steps_per_epoch or stream.steps_per_pass
    trained.compile(
        optimizer=make_optimizer(recipe, steps),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=backends.jit_setting(),
    )
    trained.optimizer.build(trained.trainable_variables)
    labels = job.dataset.take(*job.selected_on).labels
    selection = Selection(job.run, recipe, inputs.selection, labels, stream, job.seed)
    checkpoint = Checkpoint(job.run, [selection, *plateau_callbacks(recipe)], progress)
    first_epoch = checkpoint.restore(trained)
    if first_epoch == recipe.epochs or checkpoint.stopped:
        return checkpoint.status
    try:
        with Interruption() as interruption:
            trained.fit(
                stream.iterate(first_epoch * steps),
                steps_per_epoch=steps,
                epochs=recipe.epochs,
                initial_epoch=first_epoch,
                callbacks=[*checkpoint.watched, checkpoint, interruption],
                shuffle=False,
                verbose=0,
            )
    except KeyboardInterrupt:
        return "interrupted"
    return checkpoint.status


def _finish(job: Job, model: "keras.Model", inputs: Inputs, status: Status) -> Result:
    """Save the model of the best epoch in float32, evaluate it on the validation split, and write the result."""
    from ferlab.training.checkpoint import assign_variables, best_epoch

    best = best_epoch(job.run.history())
    assign_variables(inputs.trained, read_arrays(job.run.best_file(best.epoch)))
    final = _rebuilt(job, model)
    save_model(job.run.model_file, final)
    result = _result(job, final, best, inputs.features_seconds, status)
    if job.dataset.has(Split.VALIDATION):
        validation = job.dataset.take(Split.VALIDATION)
        probabilities = softmax(predict_logits(final, validation.images))
        job.run.write_predictions("validation", Predictions.on(validation, probabilities))
        metrics = score_split(validation, Split.VALIDATION, probabilities, job.dataset)
        result = result.with_metrics("validation", metrics)
    job.run.write_result(result)
    return result


def _result(job: Job, final: "keras.Model", best: Epoch, features_seconds: float, status: Status) -> Result:
    history = job.run.history()
    parameters, trainable = count_parameters(final)
    return Result(
        status=status,
        recipe=job.recipe.name,
        seed=job.seed,
        target=job.dataset.target,
        architecture=job.recipe.architecture,
        parameters=parameters,
        trainable_parameters=trainable,
        multiply_adds=count_multiply_adds(final),
        epochs=len(history),
        best_epoch=best.epoch,
        seconds_per_epoch=float(np.median([epoch.seconds for epoch in history])),
        seconds=sum(epoch.seconds for epoch in history) + features_seconds,
        selected_on=tuple(split.label for split in job.selected_on),
        selection_accuracy=best.val_accuracy,
        weights="averaged, batch statistics re-estimated" if job.recipe.ema else "as trained",
        deviations=job.recipe.deviations,
        validation_reason="the data has no validation split",
        test_reason="not evaluated yet: `ferlab evaluate` does it once",
    )


def _rebuilt(job: Job, trained: "keras.Model") -> "keras.Model":
    """Build the model of a job in float32, with trained weights."""
    if job.build is None:
        return rebuild(job.recipe, len(job.dataset.class_names), trained)
    model = job.build()
    model.set_weights(trained.get_weights())
    return model


def rebuild(recipe: Recipe, num_classes: int, trained: "keras.Model") -> "keras.Model":
    """Build the model of a recipe in float32, with trained weights and without a download."""
    model = build_without_pretrained_weights(recipe.architecture, num_classes, **recipe.model)
    set_trained_weights(model, trained)
    return model


def save_model(path: Path, model: "keras.Model") -> None:
    """Save a model as a `.keras` file, atomically.

    Raises:
        RunError: if it cannot be written.
    """
    temporary = temporary_path(path.parent, ".keras")
    try:
        model.save(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error}. Free space, and resume with --resume.") from error
    finally:
        temporary.unlink(missing_ok=True)
