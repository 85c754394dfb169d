"""Example images of a report, with the predictions of the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ferlab.run_arrays import Predictions, confident_mistakes, random_examples

NUM_MISTAKES = 8  # shown for each model


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one model predicts for one image: class probabilities `(K,)`, 0..1."""

    recipe: str
    predicted: str
    correct: bool
    probabilities: list[float]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image, `(48, 48)` uint8, with its label and the predictions of models."""

    name: str
    image: np.ndarray
    label: str
    predictions: list[Prediction]


def random_image_examples(models: Mapping[str, Predictions], class_names: Sequence[str]) -> list[Example]:
    """Choose the same random images for all models, each with every model's prediction."""
    if not models:
        return []
    first = next(iter(models.values()))
    return [_example(first, position, models, class_names) for position in random_examples(len(first.labels))]


def confident_mistake_examples(
    models: Mapping[str, Predictions], class_names: Sequence[str]
) -> dict[str, list[Example]]:
    """Choose each model's incorrect predictions with the highest confidence."""
    found = {}
    for recipe, made in models.items():
        positions = confident_mistakes(made.labels, made.probabilities)[:NUM_MISTAKES]
        found[recipe] = [_example(made, position, {recipe: made}, class_names) for position in positions]
    return found


def _example(
    shown: Predictions, position: int, models: Mapping[str, Predictions], class_names: Sequence[str]
) -> Example:
    """Make the example of one image: models find it by its key, since each stores the images in its own order."""
    label = int(shown.labels[position])
    predictions = []
    for recipe, made in models.items():
        probabilities = made.probabilities[made.position(shown.keys[position])]
        predicted = int(probabilities.argmax())
        predictions.append(
            Prediction(
                recipe=recipe,
                predicted=class_names[predicted],
                correct=predicted == label,
                probabilities=probabilities.tolist(),
            )
        )
    image = shown.example_images[int(np.flatnonzero(shown.examples == position)[0])]
    return Example(name=str(shown.names[position]), image=image, label=class_names[label], predictions=predictions)
