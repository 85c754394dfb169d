"""Build comparisons and run folders for the tests of rankings, findings and reports, without training a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferlab import Dataset, Split
from ferlab.comparison.findings import findings
from ferlab.comparison.results import BASELINE, Comparison, Entry
from ferlab.comparison.statistics import differences, rank, with_ties
from ferlab.emotions import EMOTIONS
from ferlab.evaluation.scoring import score_split
from ferlab.recipes import get_recipe
from ferlab.results import DatasetSummary, Environment, Epoch, Result, SplitMetrics, SplitName, SplitSummary
from ferlab.run_arrays import Predictions
from ferlab.runs import RunFolder

NUM_IMAGES = 4000
NUM_TRAINING_IMAGES = 28_000


def split_metrics(accuracy: float) -> SplitMetrics:
    """Build metrics of which only the accuracy matters, with an interval of 1.5 points on both sides."""
    return SplitMetrics(
        images=NUM_IMAGES,
        accuracy=accuracy,
        accuracy_interval=(accuracy - 0.015, accuracy + 0.015),
        balanced_accuracy=accuracy,
        top2_accuracy=accuracy,
        macro_f1=accuracy,
        log_loss=1.0,
        brier_score=1.0,
        expected_calibration_error=0.1,
        reliability=(),
        risk_coverage=(),
        per_class={},
        confusion=(),
        class_names=EMOTIONS,
        fingerprint="f",
        leak_free=None,
        leak_free_reason="not searched",
        agreement=None,
    )


def entry(recipe: str, accuracy: float, seed: int | None = 0, **changes: Any) -> Entry:
    """Build an entry. The start of the recipe's name, such as `fair_`, is its group."""
    group, _, rest = recipe.partition("_")
    is_baseline = group == BASELINE
    values = {
        "recipe": recipe,
        "group": group if rest else "",
        "architecture": (rest or recipe).removesuffix("_imagenet"),
        "seed": seed,
        "status": "completed",
        "run": None if is_baseline else f"runs/{recipe}-seed{seed}",
        "parameters": 1_000_000,
        "trainable_parameters": 1_000_000,
        "multiply_adds": 50_000_000,
        "epochs": 10,
        "seconds_per_epoch": 60.0,
        "seconds": 600.0,
        "image_passes": 280_000,
        "selected_on": () if is_baseline else ("validation",),
        "validation": split_metrics(accuracy),
    }
    return Entry(**values | changes)


MAJORITY = entry("baseline_majority", 0.25, None)


def comparison(*entries: Entry, ranked_on: SplitName = "validation") -> Comparison:
    """Rank entries whose correct predictions are random."""
    ranking = rank(entries, ranked_on)
    correct: dict[str, list[np.ndarray]] = {}
    for row in ranking:
        for item in entries:
            metrics = item.metrics(ranked_on)
            if item.recipe == row.recipe and item.run and metrics:
                accuracy = metrics.accuracy
                correct.setdefault(item.recipe, []).append(correct_predictions(accuracy, seed=len(correct)))
    pairs = differences(correct, np.arange(NUM_IMAGES))
    return Comparison(
        dataset=_dataset(ranked_on),
        ranked_on=ranked_on,
        entries=entries,
        ranking=tuple(with_ties(ranking, pairs)),
        differences=tuple(pairs),
    )


def _dataset(ranked_on: str) -> DatasetSummary:
    sizes = {"train": NUM_TRAINING_IMAGES, ranked_on: NUM_IMAGES}
    splits = {name: SplitSummary(images=size, classes={}, fingerprint=name) for name, size in sizes.items()}
    return DatasetSummary(source="made-up", class_names=EMOTIONS, splits=splits)


def correct_predictions(accuracy: float, seed: int) -> np.ndarray:
    """Choose at random which predictions are correct: `(N,)` bool, with exactly the given accuracy."""
    correct = np.arange(NUM_IMAGES) < round(accuracy * NUM_IMAGES)
    return np.random.default_rng(seed).permutation(correct)


def found(*entries: Entry, ranked_on: SplitName = "validation", **histories: Sequence[Epoch]) -> list[str]:
    """Derive the findings of a comparison, with the histories of seed 0 by recipe."""
    by_run = {f"runs/{name}-seed0": history for name, history in histories.items()}
    return findings(comparison(*entries, ranked_on=ranked_on), by_run)


def history(
    losses: Sequence[float],
    validation_losses: Sequence[float],
    validation_accuracies: Sequence[float] | None = None,
) -> list[Epoch]:
    """Build a history whose accuracies follow from the losses unless they are given."""
    accuracies = validation_accuracies or [1 - loss / 2 for loss in validation_losses]
    rows = zip(losses, validation_losses, accuracies, strict=True)
    return [
        Epoch(epoch=number, loss=loss, accuracy=1 - loss / 2, val_loss=val_loss, val_accuracy=accuracy, seconds=1.0)
        for number, (loss, val_loss, accuracy) in enumerate(rows, start=1)
    ]


def environment(dataset: DatasetSummary, seed: int) -> Environment:
    """Build the environment of a run on a made-up machine."""
    return Environment(
        ferlab="0",
        commit=None,
        python="3.12",
        versions={"keras": "3"},
        device="a machine",
        cores=2,
        policy="float32",
        seed=seed,
        dataset=dataset,
    )


def write_run(
    path: Path,
    data: Dataset,
    recipe: str,
    seed: int,
    accuracy: float,
    epochs: int = 4,
    selected_on: tuple[str, ...] = ("validation",),
) -> Path:
    """Write a run folder as a training leaves it, without a model, whose predictions have a given accuracy."""
    run, generator = RunFolder(path), np.random.default_rng(seed)
    run.write_config(get_recipe(recipe).changed({"epochs": epochs}), seed)
    run.write_environment(environment(data.summary(), seed))
    measures = {"accuracy": 0.3, "val_accuracy": 0.3, "loss": 1.9, "val_loss": 1.8, "seconds": 2.0}
    run.write_history([Epoch(epoch=number, **measures) for number in range(1, epochs + 1)])
    scores = {}
    for split in (Split.VALIDATION, Split.TEST):
        part = data.take(split)
        probabilities = random_probabilities(part, accuracy, generator)
        run.write_predictions(split.label, Predictions.on(part, probabilities))
        scores[split.label] = score_split(part, split, probabilities, data)
    run.write_result(
        Result(
            status="completed",
            recipe=recipe,
            seed=seed,
            parameters=10_000 * (seed + 1),
            trainable_parameters=10_000,
            multiply_adds=1_000_000,
            epochs=epochs,
            seconds_per_epoch=2.0,
            seconds=8.0,
            selected_on=selected_on,
            **scores,
        )
    )
    return path


def random_probabilities(part: Dataset, accuracy: float, generator: np.random.Generator) -> np.ndarray:
    """Predict the label with a given probability, and the next class otherwise: `(N, 7)`."""
    predicted = np.where(generator.random(len(part)) < accuracy, part.labels, (part.labels + 1) % 7)
    return np.full((len(part), 7), 0.05) + 0.65 * np.eye(7)[predicted]
