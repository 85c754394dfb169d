"""Made-up comparisons and run folders, for the tests of rankings, findings and reports."""

from pathlib import Path
from typing import Any

import numpy as np

from ferlab import Dataset, Split
from ferlab.emotions import EMOTIONS
from ferlab.evaluation.scoring import score_split
from ferlab.recipes import get_recipe
from ferlab.results import Environment, Epoch, Result
from ferlab.runs import Predictions, RunFolder

NUM_IMAGES = 4000


def entry(recipe: str, accuracy: float, seed: int | None = 0, **changes: Any) -> dict[str, Any]:
    scores = {"images": NUM_IMAGES, "accuracy": accuracy, "accuracy_interval": [accuracy - 0.015, accuracy + 0.015]}
    architecture = recipe.removeprefix("study_").removeprefix("fair_").removesuffix("_imagenet")
    return {
        "recipe": recipe,
        "model": architecture,
        "seed": seed,
        "status": "completed",
        "reason": None,
        "run": None if recipe.startswith("baseline") else f"runs/{recipe}-seed{seed}",
        "parameters": 1_000_000,
        "multiply_adds": 50_000_000,
        "epochs": 10,
        "seconds_per_epoch": 60.0,
        "seconds": 600.0,
        "image_passes": 280_000,
        "validation": scores,
        "test": None,
        "selected_on": None if recipe.startswith("baseline") else "validation",
        **changes,
    }


MAJORITY = entry("baseline_majority", 0.25, None)


def comparison(*entries: dict[str, Any], ranked_on: str = "validation") -> dict[str, Any]:
    from ferlab.comparison.statistics import add_ties, differences, rank

    ranking = rank(entries, ranked_on)
    hits: dict[str, list[np.ndarray]] = {}
    for row in ranking:
        for item in entries:
            if item["recipe"] == row["recipe"] and item["run"]:
                hits.setdefault(item["recipe"], []).append(answers(item[ranked_on]["accuracy"], len(hits)))
    pairs = differences(hits, np.arange(NUM_IMAGES))
    add_ties(ranking, pairs)
    splits = {"train": {"images": 28_000}, ranked_on: {"images": NUM_IMAGES}}
    return {
        "dataset": {"source": "made-up", "class_names": EMOTIONS, "splits": splits},
        "entries": list(entries),
        "ranking": ranking,
        "ranked_on": ranked_on,
        "differences": pairs,
    }


def answers(accuracy: float, number: int) -> np.ndarray:
    """Right and wrong answers `(N,)` of an accuracy, scattered anew for each number."""
    right = np.arange(NUM_IMAGES) < round(accuracy * NUM_IMAGES)
    return np.random.default_rng(number).permutation(right)


def found(*entries: dict[str, Any], ranked_on: str = "validation", **histories: list) -> list[str]:
    from ferlab.comparison.findings import findings

    made = comparison(*entries, ranked_on=ranked_on)
    return findings(made, {f"runs/{name}-seed0": history for name, history in histories.items()})


def history(
    losses: list[float], validation_losses: list[float], validation_accuracies: list[float] | None = None
) -> list[dict[str, float]]:
    accuracies = validation_accuracies or [1 - loss / 2 for loss in validation_losses]
    return [
        {"epoch": number, "loss": loss, "accuracy": 1 - loss / 2, "val_loss": other, "val_accuracy": accuracy}
        for number, (loss, other, accuracy) in enumerate(
            zip(losses, validation_losses, accuracies, strict=True), start=1
        )
    ]


def write_run(
    path: Path,
    data: Dataset,
    recipe: str,
    seed: int,
    accuracy: float,
    epochs: int = 4,
    selected_on: tuple[str, ...] = ("validation",),
) -> Path:
    """Write a run folder as a training leaves it, without its model, with predictions of a given accuracy."""
    run, generator = RunFolder(path), np.random.default_rng(seed)
    changed = get_recipe(recipe).changed({"epochs": epochs})
    run.write_config(changed, seed)
    run.write_environment(
        Environment(
            ferlab="0",
            commit=None,
            python="3.12",
            versions={"keras": "3"},
            device="a machine",
            cores=2,
            policy="float32",
            seed=seed,
            dataset=data.summary(),
        )
    )
    measures = {"accuracy": 0.3, "val_accuracy": 0.3, "loss": 1.9, "val_loss": 1.8, "seconds": 2.0}
    run.write_history([Epoch(epoch=number, **measures) for number in range(1, epochs + 1)])
    result = Result(
        status="completed",
        recipe=recipe,
        seed=seed,
        architecture=changed.architecture,
        parameters=10_000 * (seed + 1),
        trainable_parameters=10_000,
        multiply_adds=1_000_000,
        epochs=epochs,
        best_epoch=epochs,
        seconds_per_epoch=2.0,
        seconds=8.0,
        selected_on=selected_on,
        selection_accuracy=0.3,
    )
    for split in (Split.VALIDATION, Split.TEST):
        part = data.take(split)
        predicted = np.where(generator.random(len(part)) < accuracy, part.labels, (part.labels + 1) % 7)
        probabilities = np.full((len(part), 7), 0.05) + 0.65 * np.eye(7)[predicted]
        run.write_predictions(split.label, Predictions.on(part, probabilities))
        result = result.with_metrics(split.label, score_split(part, split, probabilities, data))
    run.write_result(result)
    return path
