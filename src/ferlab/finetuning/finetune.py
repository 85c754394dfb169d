"""`finetune`: train a network further on your own photos.

First the last layer alone, on features that are computed once; then all layers, at a lower rate
(https://keras.io/guides/transfer_learning). The epoch is selected on validation photos, and the test photos are scored
once, beside the network as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ferlab.backend import start_keras
from ferlab.data import Dataset, Split
from ferlab.evaluation.metrics import bootstrap_mean, check_libraries, fit_temperature
from ferlab.evaluation.paired import sign_test_p_value
from ferlab.evaluation.trained_model import Provenance
from ferlab.export.export import CalibratedModel, format_module, write_artifact
from ferlab.export.parity import DeviationError
from ferlab.finetuning.photos import Photos, read_photos
from ferlab.json_files import write_result
from ferlab.models import load_model, predict_logits
from ferlab.predict.artifact import Artifact
from ferlab.predict.packaged import DEFAULT_MODEL
from ferlab.progress import TrainingProgress
from ferlab.protocol import check_origin, check_same_split
from ferlab.recipes import EarlyStopping, Recipe
from ferlab.recipes.augmentation import Augmentation
from ferlab.results import Epoch, Interval
from ferlab.runs import RunFolder
from ferlab.training.train import train_recipe

if TYPE_CHECKING:
    import keras

    from ferlab.finetuning.start import Start

LAST_LAYER = Recipe(
    name="last_layer",
    summary="The last layer, on a frozen backbone",
    architecture="",
    epochs=60,
    batch_size=16,
    learning_rate=1e-3,
    early_stopping=EarlyStopping(monitor="val_loss", patience=10),
    policy="float32",
)
ALL_LAYERS = Recipe(
    name="all_layers",
    summary="All layers, at a lower rate",
    architecture="",
    epochs=60,
    batch_size=16,
    augmentation=Augmentation(flip=True, rotation=10, shift=0.06, zoom=0.08, contrast=0.15),
    learning_rate=2e-4,
    label_smoothing=0.1,
    early_stopping=EarlyStopping(monitor="val_loss", patience=12),
    policy="float32",
)
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """The result of `finetune`.

    Args:
        artifact: path of the fine-tuned model.
        started_from: the network as given.
        class_names: the classes.
        photos: number of photos by split.
        persons: number of known persons.
        skipped: number of photos that were skipped.
        stage: which stage was kept: `last_layer` or `all_layers`.
        accuracy: accuracy of the fine-tuned model on the test photos, 0..1, rounding included.
        accuracy_interval: its 95 % interval by Wilson, with each person and each set of copies as one photo.
        accuracy_before: accuracy of the network as it was on the same photos, among the same classes; null if it does
            not know all of them.
        difference: the first minus the second; null with it.
        difference_interval: its 95 % interval, over persons and copies; null if all photos are of one.
        p_value: p-value of an exact sign test over persons and copies.
        verdict: what the test photos show, in one sentence.
        notes: how the photos were cropped and divided, and what else a reader must know.
    """

    artifact: str
    started_from: str
    class_names: tuple[str, ...]
    photos: dict[str, int]
    persons: int
    skipped: int
    stage: str
    accuracy: float
    accuracy_interval: Interval
    accuracy_before: float | None
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    verdict: str
    notes: tuple[str, ...]


def finetune(
    photos: str | Path,
    out: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    crops: bool = False,
    skip_bad: bool = False,
    person_folders: bool = False,
    persons: Mapping[str, str] | None = None,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = True,
) -> FineTuning:
    """Train a network further on your own photos, and write `model.onnx` and `finetune.json`.

    Args:
        photos: a folder or zip with `<class>/*.jpg`, or with these in `train`, `val` and `test`. The classes may be
            some of the network's, whose weights are kept, or others. A fifth of the photos selects the epoch, and a
            fifth is scored at the end, unless there are folders for these.
        out: output folder. The run folders of the two stages are in it, too.
        model: the network to start from: a name in the package, an `.onnx` file or a run folder.
        crops: the photos are face crops already. By default, the largest face in each is cropped, as in prediction.
        skip_bad: skip photos that cannot be read or have no face.
        person_folders: photos are in `<class>/<person>/*.jpg`; no person is in two parts.
        persons: person by image name, instead of folders.
        seed: seed of order and augmentation.
        resume: continue an interrupted fine-tuning in `out`.
        quiet: show no progress.

    Returns:
        The accuracy on the test photos beside that of the network as it was, and whether the difference is significant.

    Raises:
        ArtifactError: if the network cannot be read back into Keras, or the result cannot be converted.
        DataError: if a photo cannot be used, or there are too few.
        FerlabError: if there is no such network, or it has no last dense layer.
        RunError: if `out` contains another fine-tuning.
        KeyboardInterrupt: on Ctrl-C; complete epochs are kept.
    """
    check_libraries()
    start_keras("tensorflow")
    from ferlab.finetuning.start import open_start

    start = open_start(model)
    found = read_photos(photos, crops=crops, skip_bad=skip_bad, person_folders=person_folders, persons=persons)
    _check_start(start, found.dataset)
    runs = _train(start, found, Path(out), seed, resume, quiet)
    best = max(runs, key=_selection_score)
    artifact, notes = _export(best, start, found, Path(out) / "model.onnx")
    result = _report(best, artifact, start, found, notes)
    write_result(Path(out) / "finetune.json", result)
    return result


def _check_start(start: "Start", dataset: Dataset) -> None:
    """Reject a network that is known to have learned some of the validation or test photos.

    Raises:
        DataError: if it was trained on the same photos, divided otherwise.
        ProtocolError: if it was selected on its test split.
    """
    model, origin = start.model, start.model.provenance
    check_origin("network", model.path, origin.selected_on or (), origin.fingerprints, dataset)
    if model.run:
        check_same_split(model.path, model.run.dataset(), dataset, Split.VALIDATION, Split.TEST)


def _overlap_notes(start: "Start", dataset: Dataset) -> tuple[str, ...]:
    """Say that a network which learned photos of its own may know some of these: it does not tell which ones."""
    origin = start.model.provenance
    if origin.target is not None or origin.fingerprints.get("train") == dataset.fingerprints["train"]:
        return ()
    return (
        f"{start.model.name} has learned other photos. If some of these test photos are among them, both accuracies "
        "are too high: keep the test photos in a folder test, the same one each time",
    )


def _train(start: "Start", photos: Photos, out: Path, seed: int, resume: bool, quiet: bool) -> list[RunFolder]:
    """Train the last layer, then all layers from there."""
    names, runs = photos.dataset.class_names, []
    build = partial(start.network, names, frozen=True)
    for recipe in (LAST_LAYER, ALL_LAYERS):
        named = replace(recipe, architecture=start.identity)
        progress = TrainingProgress(named, quiet)
        run = train_recipe(named, photos.dataset, out / recipe.name, seed, resume, progress, build)
        result = run.result()
        if result is None or not result.finished:
            raise KeyboardInterrupt
        runs.append(run)
        build = partial(_unfrozen, start, names, run)
    return runs


def _unfrozen(start: "Start", class_names: tuple[str, ...], run: RunFolder) -> "keras.Model":
    """Build the network with all layers trainable and the weights of a run."""
    model = start.network(class_names, frozen=False)
    model.set_weights(load_model(run.model_file).get_weights())
    return model


def _selection_score(run: RunFolder) -> tuple[float, float]:
    """Return the validation accuracy of the best epoch, and its negative loss for equal accuracies."""
    best: Epoch = max(run.history(), key=lambda epoch: epoch.val_accuracy)
    return best.val_accuracy, -best.val_loss


def _export(run: RunFolder, start: "Start", photos: Photos, path: Path) -> tuple[Artifact, tuple[str, ...]]:
    """Write the artifact, calibrated on the validation photos, in 8 bits if the network as it was has them.

    Returns:
        The artifact, and a note if its predictions in 8 bits were not those of Keras.
    """
    validation = photos.dataset.take(Split.VALIDATION)
    model = load_model(run.model_file)
    logits = predict_logits(model, validation.images)
    result = run.trained_result()
    calibrated = CalibratedModel(
        model=model,
        logits=logits,
        temperature=fit_temperature(validation.labels, logits),
        name=f"fine-tuned {Path(start.model.name).stem}",
        provenance=Provenance(
            class_names=photos.dataset.class_names,
            class_shares=run.class_shares(),
            selected_on=result.selected_on,
            fingerprints=run.fingerprints(),
        ),
        training={"seed": result.seed, "started_from": Path(start.model.name).name},
    )
    write = partial(write_artifact, calibrated, validation, photos.dataset, path, format_module(path, None))
    notes: tuple[str, ...] = ()
    try:
        write(start.quantize)
    except DeviationError as error:
        if start.quantize == "none":
            raise
        write("none")
        notes = (f"the file has 32 bits, because 8 bits change its predictions: {error.reasons}",)
    return Artifact(path), notes


def _report(run: RunFolder, artifact: Artifact, start: "Start", photos: Photos, notes: tuple[str, ...]) -> FineTuning:
    """Score the test photos, and compare with the network as it was."""
    from statsmodels.stats.proportion import proportion_confint

    dataset, test, groups = photos.dataset, photos.dataset.take(Split.TEST), photos.test_groups()
    correct = artifact.probabilities(test.images).argmax(axis=1) == test.labels
    share, size = float(correct.mean()), len(np.unique(groups))
    interval = proportion_confint(share * size, size, method="wilson")
    before = start.probabilities(test.images, dataset.class_names)
    difference, difference_interval, p_value = None, None, None
    if before is not None:
        correct_before = before.argmax(axis=1) == test.labels
        paired = correct.astype(float) - correct_before
        difference, p_value = float(paired.mean()), sign_test_p_value(paired, groups)
        difference_interval = bootstrap_mean(paired, groups)[0] if size > 1 else None
    return FineTuning(
        artifact=str(artifact.path),
        started_from=start.model.name,
        class_names=dataset.class_names,
        photos={split.label: len(dataset.take(split)) for split in Split},
        persons=photos.num_persons,
        skipped=len(dataset.skipped),
        stage=run.recipe().name,
        accuracy=share,
        accuracy_interval=interval,
        accuracy_before=None if before is None else float(correct_before.mean()),
        difference=difference,
        difference_interval=difference_interval,
        p_value=p_value,
        verdict=_verdict(difference, difference_interval, p_value, len(test), size),
        notes=(*dataset.notes, *_overlap_notes(start, dataset), *notes),
    )


def _verdict(
    difference: float | None, interval: Interval | None, p_value: float | None, images: int, groups: int
) -> str:
    """Say what the test photos show. A difference counts if both the interval and the exact test exclude chance."""
    if difference is None or p_value is None:
        return "The network as it was does not know all of these classes, so there is nothing to compare with."
    points = f"{100 * difference:+.1f} points"
    if interval is None:
        return f"All test photos are of one person, too few to tell whether fine-tuning helped ({points})."
    low, high = interval
    points += f", 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    if p_value < SIGNIFICANT and low > 0:
        return f"Fine-tuning made the network better on photos like these ({points})."
    if p_value < SIGNIFICANT and high < 0:
        return f"Fine-tuning made the network worse ({points}). Use it as it was, or add photos."
    of = f", of {groups} persons or different photos," if groups < images else ""
    return f"{images} test photos{of} are too few to tell whether fine-tuning helped ({points})."
