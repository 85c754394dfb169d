"""Training: a recipe and a data set make a run folder.

The protocol is held here: gradients come from the training split, the best epoch is chosen on the selection split, and
nothing else is looked at. Only `study` recipes select on the whole `test/` folder, and their results say so.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab import backend as backends
from ferlab.data import Dataset, Split
from ferlab.errors import RunError, TrainingError
from ferlab.evaluation.metrics import log_softmax
from ferlab.evaluation.scoring import score_split
from ferlab.models import (
    build_model,
    build_trainable,
    count_multiply_adds,
    count_parameters,
    model_options,
    predict_logits,
    set_trained_weights,
)
from ferlab.progress import TrainingProgress
from ferlab.protocol import selection_splits
from ferlab.recipes import Recipe, get_recipe
from ferlab.recipes.augmentation import Augmentation
from ferlab.runs import RunFolder, read_arrays
from ferlab.training.batches import BatchStream
from ferlab.training.distillation import check_teachers, load_teachers
from ferlab.training.targets import check_votes, image_targets, image_weights

if TYPE_CHECKING:
    import keras

AVERAGED_SHARE = 0.1  # of a training's steps: averages of weights reach back no further


def train(
    recipe: str | Recipe,
    dataset: Dataset,
    out: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    backend: str | None = None,
    quiet: bool = True,
    **changes: Any,
) -> RunFolder:
    """Trains a model and leaves a run folder.

    Args:
        recipe: a recipe or the name of one.
        dataset: with a training and a validation split.
        out: the run folder.
        seed: of initial weights, order, augmentation and dropout.
        resume: go on with what is in `out`, if anything is. A finished run is left as it is.
        backend: `tensorflow` or `jax`; None for the one in use.
        quiet: show no progress.
        changes: recipe fields to change, as in `Recipe.changed`.

    Returns:
        The run folder, with `model.keras` and `result.json`. After Ctrl-C its status is `interrupted`, and `resume`
        goes on from the last whole epoch.

    Raises:
        DataError: if there are no training images, or no votes for a recipe that learns from them.
        ProtocolError: if it would select on the test split, or a teacher did.
        RecipeError: if it distils without teachers.
        RunError: if a teacher learned other images, or `out` holds another run, is in use, or cannot be written to.
        TrainingError: if the loss is no longer finite. The last good checkpoint is kept.
    """
    backends.start_keras(backend)
    recipe = (get_recipe(recipe) if isinstance(recipe, str) else recipe).changed(changes)
    dataset.require(Split.TRAIN)
    selection_splits(recipe, dataset)
    run = RunFolder(Path(out))
    if not _has_ended(run.result()):
        check_votes(recipe, dataset)
        check_teachers(recipe, dataset)
    with run.lock():
        result = _begin(run, recipe, dataset, seed, resume)
        if _has_ended(result):
            return run
        try:
            _Training(run, recipe, dataset, seed, TrainingProgress(recipe, quiet)).run_to_end()
        except TrainingError as error:
            run.write("result", {"status": "failed", "reason": str(error), "recipe": recipe.name, "seed": seed})
            raise
    return run


def _begin(run: RunFolder, recipe: Recipe, dataset: Dataset, seed: int, resume: bool) -> dict[str, Any] | None:
    """Writes what is known beforehand, or checks that a run to be resumed is the same one."""
    if not run.exists():
        environment = backends.describe() | {
            "policy": backends.resolve_policy(recipe.policy),
            "seed": seed,
            "dataset": dataset.describe(),
            "skipped": [vars(item) for item in dataset.skipped],
        }
        run.write("environment", environment)
        run.write("config", {"recipe": recipe.as_dict(), "seed": seed})
        return None
    if not resume:
        raise RunError(f"{run.path} already holds a run. Go on with it by --resume, or choose another --out.")
    if run.recipe().training_fields() != recipe.training_fields() or run.environment()["seed"] != seed:
        raise RunError(f"{run.path} holds a run of another recipe or seed. Choose another --out.")
    if run.dataset() != dataset.describe() | {"source": run.dataset()["source"]}:
        raise RunError(f"{run.path} was trained on other data than {dataset.source}. Choose another --out.")
    return run.result()


def _has_ended(result: dict[str, Any] | None) -> bool:
    return result is not None and result["status"] not in ("interrupted", "failed")


class _Training:
    """One training from its first or next epoch to its result."""

    def __init__(self, run: RunFolder, recipe: Recipe, dataset: Dataset, seed: int, progress: TrainingProgress) -> None:
        self.run, self.recipe, self.dataset, self.seed, self.progress = run, recipe, dataset, seed, progress
        self.training = dataset.take(Split.TRAIN)
        self.selected_on = selection_splits(recipe, dataset)
        self.policy = run.environment()["policy"]
        self.features_seconds = 0.0

    def run_to_end(self) -> None:
        import keras

        from ferlab.training.fused import fuse_batch_normalization

        keras.utils.clear_session()
        keras.utils.set_random_seed(self.seed)
        keras.config.set_dtype_policy(self.policy)
        try:
            self.progress.start(self.policy)
            built = build_trainable(self.recipe.architecture, len(self.dataset.class_names), **self.recipe.model)
            model = fuse_batch_normalization(built)
            status, trained = self._fit(model)
        finally:
            keras.config.set_dtype_policy("float32")
            self.progress.stop()
        if self.run.best_file.is_file():
            self._finish(model, trained, status)

    def _fit(self, model: "keras.Model") -> tuple[str, "keras.Model"]:
        """Trains the model, or its head where that is all that learns. Returns how it ended and what was fitted."""
        import keras

        from ferlab.training.callbacks import Checkpoint, Interruption, Selection, plateau_callbacks

        recipe = self.recipe
        stream, selection_inputs, trained = self._inputs(model)
        steps = recipe.steps_per_epoch or stream.steps_per_pass
        trained.compile(
            optimizer=make_optimizer(recipe, steps),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
            jit_compile=backends.jit_setting(),
        )
        trained.optimizer.build(trained.trainable_variables)
        selection = Selection(self.run, recipe, selection_inputs, self._selection_labels(), stream, self.seed)
        checkpoint = Checkpoint(self.run, [selection, *plateau_callbacks(recipe)], self.progress)
        first_epoch = checkpoint.restore(trained)
        if first_epoch == recipe.epochs or checkpoint.stopped:
            return checkpoint.status, trained
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
            return "interrupted", trained
        return checkpoint.status, trained

    def _inputs(self, model: "keras.Model") -> tuple[BatchStream, np.ndarray, "keras.Model"]:
        """The batches, the selection images, and the model to fit on them.

        Where the whole backbone is frozen, its features of a picture never change: they are computed once, and the
        head alone is trained on them, unless augmentation or mixup makes every picture a new one.
        """
        recipe = self.recipe
        selection = self.dataset.take(*self.selected_on).images
        backbone, head = split_frozen_backbone(model)
        stream = self._stream(self.training.images)
        ever_new = recipe.augmentation.active or recipe.augment_validation or recipe.mixup or recipe.teachers
        if head is None or ever_new:
            return stream, selection, model
        total_steps = recipe.epochs * (recipe.steps_per_epoch or stream.steps_per_pass)
        visited = np.unique(np.concatenate([stream.indices(step) for step in range(total_steps)]))
        started = time.perf_counter()
        with self.progress.features(len(visited) + len(selection)) as advance:
            visited_features = _features(backbone, self.training.images[visited], advance)
            selection_features = _features(backbone, selection, advance)
        self.features_seconds = time.perf_counter() - started
        features = np.zeros((len(self.training), visited_features.shape[1]), np.float32)
        features[visited] = visited_features
        return self._stream(features), selection_features, head

    def _stream(self, inputs: np.ndarray) -> BatchStream:
        recipe = self.recipe
        steps = recipe.steps_per_epoch or -(-len(inputs) // recipe.batch_size)
        return BatchStream(
            inputs,
            image_targets(recipe, self.training),
            image_weights(recipe, self.training),
            batch_size=recipe.batch_size,
            augmentation=recipe.augmentation if inputs.ndim == 3 else Augmentation(),
            seed=self.seed,
            mixup=recipe.mixup,
            clean_from=max(0, recipe.epochs - recipe.clean_epochs) * steps,
            teacher=load_teachers(recipe.teachers) if recipe.teachers else None,
            distillation=recipe.distillation,
        )

    def _selection_labels(self) -> np.ndarray:
        return self.dataset.take(*self.selected_on).labels

    def _finish(self, model: "keras.Model", trained: "keras.Model", status: str) -> None:
        """Rebuilds the best epoch's model in float32, scores it on the validation split and writes the result."""
        load_variables(trained, read_arrays(self.run.best_file))
        final = rebuild(self.recipe, len(self.dataset.class_names), model)
        save_model(self.run.model_file, final)
        history = self.run.history()
        best = max(history, key=lambda epoch: epoch["val_accuracy"])
        parameters, trainable = count_parameters(final)
        result = {
            "status": status,
            "recipe": self.recipe.name,
            "architecture": self.recipe.architecture,
            "seed": self.seed,
            "parameters": parameters,
            "trainable_parameters": trainable,
            "multiply_adds": count_multiply_adds(final),
            "epochs": len(history),
            "best_epoch": best["epoch"],
            "seconds_per_epoch": float(np.median([epoch["seconds"] for epoch in history])),
            "seconds": sum(epoch["seconds"] for epoch in history) + self.features_seconds,
            "selected_on": "+".join(split.label for split in self.selected_on),
            "selection_accuracy": best["val_accuracy"],
            "weights": "averaged, batch statistics re-estimated" if self.recipe.ema else "as trained",
            "deviations": list(self.recipe.deviations),
            "validation": None,
            "validation_reason": "the data has no validation split",
            "test": None,
            "test_reason": "not scored yet: ferlab evaluate does it once",
        }
        if self.dataset.has(Split.VALIDATION):
            validation = self.dataset.take(Split.VALIDATION)
            probabilities = np.exp(log_softmax(predict_logits(final, validation.images)))
            self.run.write_predictions("validation", probabilities, validation)
            metrics = score_split(validation, Split.VALIDATION, probabilities, self.dataset)
            result |= {"validation": metrics, "validation_reason": None}
        self.run.write("result", result)
        self.progress.finished(result)


def split_frozen_backbone(model: "keras.Model") -> tuple["keras.Model | None", "keras.Model | None"]:
    """Splits a model at its `features` layer, if nothing before that layer learns.

    Returns:
        The backbone, from images to features `(N, F)`, and the head, from features to logits, made of the model's own
        layers: training the head trains the model. Two Nones where the model has no such layer or its backbone learns.
    """
    import keras

    names = [layer.name for layer in model.layers]
    if "features" not in names:
        return None, None
    position = names.index("features")
    if any(layer.trainable_weights for layer in model.layers[: position + 1]):
        return None, None
    backbone = keras.Model(model.input, model.layers[position].output)
    x = inputs = keras.Input(backbone.output.shape[1:])
    for layer in model.layers[position + 1 :]:
        x = layer(x)
    return backbone, keras.Model(inputs, x)


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> "keras.Optimizer":
    """The optimizer of a recipe, with its schedule, decoupled weight decay and weight averaging."""
    from keras import optimizers

    from ferlab.training.fused import make_adam, make_sgd

    rate: Any = recipe.learning_rate
    if recipe.schedule == "cosine":
        warmup = round(recipe.warmup_epochs * steps_per_epoch)
        rate = optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else recipe.learning_rate,
            decay_steps=max(1, recipe.epochs * steps_per_epoch - warmup),
            warmup_target=recipe.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    settings: dict[str, Any] = {"learning_rate": rate, "weight_decay": recipe.weight_decay or None}
    if recipe.ema:
        longest = 1 - 1 / max(1, AVERAGED_SHARE * recipe.epochs * steps_per_epoch)
        settings |= {"use_ema": True, "ema_momentum": min(recipe.ema, longest)}
    kinds = {"adam": make_adam, "sgd": make_sgd, "rmsprop": optimizers.RMSprop}
    optimizer = kinds[recipe.optimizer](**settings)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _features(backbone: "keras.Model", images: np.ndarray, advance: Any, chunk: int = 512) -> np.ndarray:
    parts = []
    for start in range(0, len(images), chunk):
        parts.append(predict_logits(backbone, images[start : start + chunk], batch_size=64))
        advance(len(parts[-1]))
    return np.concatenate(parts)


def rebuild(recipe: Recipe, num_classes: int, trained: "keras.Model") -> "keras.Model":
    """The recipe's model in float32, with what its trained form has learned and without a download."""
    options = dict(recipe.model)
    if "weights" in model_options(recipe.architecture):
        options["weights"] = "none"
    model = build_model(recipe.architecture, num_classes, **options)
    set_trained_weights(model, trained)
    return model


def load_variables(model: "keras.Model", arrays: dict[str, np.ndarray]) -> None:
    """Puts arrays named `model/<index>` into the variables of a model."""
    for index, variable in enumerate(model.variables):
        variable.assign(arrays[f"model/{index}"])


def save_model(path: Path, model: "keras.Model") -> None:
    """Saves a model as `.keras`, by way of a temporary file."""
    temporary = path.with_name(f".{path.stem}.{time.time_ns()}.keras")
    try:
        model.save(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error}. Free space, and go on with --resume.") from error
    finally:
        temporary.unlink(missing_ok=True)
