"""Explanations: heat maps of what supports each class in an image, and whether they reflect what the model learned.

The maps are computed by Grad-CAM (`grad_cam.py`) and checked against networks with random weights (`sanity.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ferlab.data import Dataset, Split
from ferlab.errors import FerlabError
from ferlab.evaluation.metrics import softmax
from ferlab.evaluation.trained_model import open_model
from ferlab.explanation.grad_cam import grad_cam
from ferlab.explanation.heatmaps import class_sheet, face_sheet, mean_sheet, shares_by_height
from ferlab.explanation.sanity import MEANING, correlation_with_random
from ferlab.files import write_atomically

if TYPE_CHECKING:
    import keras

IMAGES_PER_CLASS = 50
NUM_EXAMPLES = 4  # single faces of each class on a sheet


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSummary:
    """The map of one class.

    Args:
        map: `(H, W)` float32, 0..1.
        probability: probability of the class in one image, 0..1. None in a summary of a split.
        images: number of images that the map is the mean of. None in a summary of one image.
    """

    map: np.ndarray
    probability: float | None = None
    images: int | None = None

    @property
    def by_height(self) -> list[float] | None:
        """The shares of the map in the upper, middle and lower third; None for an empty map."""
        return shares_by_height(self.map)


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplanationSummary:
    """One map for each class: of one image, or the means over a split.

    Args:
        layer: name of the layer whose feature map was used.
        classes: maps by class name.
        rank_correlation: rank correlation of the sanity check, -1..1, or None if there was no map to compare.
    """

    layer: str
    classes: dict[str, ClassSummary]
    rank_correlation: float | None

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values for JSON.

        Returns:
            `layer`; `classes`, which holds by name the `probability` or the number of `images`, `by_height` and the
            `map` as rows of values 0..1; and `sanity`, which holds `rank_correlation` and its `meaning`.
        """
        return {
            "layer": self.layer,
            "classes": {name: _class_as_dict(summary) for name, summary in self.classes.items()},
            "sanity": {"rank_correlation": self.rank_correlation, "meaning": MEANING},
        }


def _class_as_dict(summary: ClassSummary) -> dict[str, Any]:
    size = {"images": summary.images} if summary.probability is None else {"probability": summary.probability}
    rows = [[round(float(value), 4) for value in row] for row in summary.map]
    return size | {"by_height": summary.by_height, "map": rows}


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What supports each class in some images.

    Args:
        class_names: K names.
        layer: name of the layer whose feature map was used.
        images: `(N, 48, 48)` uint8.
        probabilities: `(N, K)` float32.
        maps: `(N, K, H, W)` float32, 0..1, each divided by its maximum; all zero if nothing supports the class. H and W
            are those of the feature map.
        rank_correlation: rank correlation of the maps of the predicted classes with those of networks with random
            weights, -1..1. None if there was no map to compare.
    """

    class_names: tuple[str, ...]
    layer: str
    images: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray
    rank_correlation: float | None

    def summary(self, index: int = 0) -> ExplanationSummary:
        """Summarize the explanation of one image."""
        rows = zip(self.class_names, self.probabilities[index], self.maps[index], strict=True)
        classes = {name: ClassSummary(map=heat, probability=float(probability)) for name, probability, heat in rows}
        return ExplanationSummary(layer=self.layer, classes=classes, rank_correlation=self.rank_correlation)


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitExplanation:
    """What supports the true class in some images of each class of a split.

    Args:
        class_names: K names.
        layer: name of the layer whose feature map was used.
        images: `(N, 48, 48)` uint8.
        labels: `(N,)` int64.
        maps: `(N, H, W)` float32, 0..1, as in `Explanation`.
        rank_correlation: rank correlation of the maps with those of networks with random weights, -1..1, or None.
    """

    class_names: tuple[str, ...]
    layer: str
    images: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    rank_correlation: float | None

    def counts(self) -> np.ndarray:
        """Count the images of each class `(K,)`."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def mean_maps(self) -> np.ndarray:
        """Average the maps of each class: `(K, H, W)` float32, 0..1; all zero for a class without images."""
        sums = np.zeros((len(self.class_names), *self.maps.shape[1:]), np.float32)
        np.add.at(sums, self.labels, self.maps)
        return sums / np.maximum(self.counts(), 1)[:, None, None]

    def summary(self) -> ExplanationSummary:
        """Summarize the mean maps."""
        rows = zip(self.class_names, self.counts(), self.mean_maps(), strict=True)
        classes = {name: ClassSummary(map=heat, images=int(count)) for name, count, heat in rows}
        return ExplanationSummary(layer=self.layer, classes=classes, rank_correlation=self.rank_correlation)


def explain(model: str | Path, images: np.ndarray, *, class_names: Sequence[str] | None = None) -> Explanation:
    """Compute the heat map of every class in each image.

    This sets the random seeds of Keras, NumPy and Python.

    Args:
        model: a run folder or a `.keras` file.
        images: `(N, 48, 48)` uint8, 0..255, at least one.
        class_names: K names, as in the dataset. None takes those of the run, else `class 0`, `class 1`, ...

    Returns:
        The maps, the probabilities and the result of the sanity check.

    Raises:
        FerlabError: if there is no such model, its classes differ, or it has no suitable feature map.
        RunError: if the folder contains no trained model.

    Example:
        >>> import ferlab
        >>> explanation = ferlab.explain("runs/fernet_s", faces)  # doctest: +SKIP
        >>> heat = explanation.maps[0, explanation.class_names.index("happy")]  # doctest: +SKIP
    """
    network, names = _open(model, class_names)
    found = grad_cam(network, images)
    predicted = found.logits.argmax(axis=1)
    own_maps = found.maps[np.arange(len(images)), predicted]
    return Explanation(
        class_names=names,
        layer=found.layer,
        images=images,
        probabilities=softmax(found.logits).astype(np.float32),
        maps=found.maps,
        rank_correlation=correlation_with_random(network, images, predicted, own_maps),
    )


def explain_split(
    model: str | Path,
    dataset: Dataset,
    split: str | Split = Split.VALIDATION,
    *,
    images_per_class: int = IMAGES_PER_CLASS,
) -> SplitExplanation:
    """Explain a sample of the images of each class in a split.

    The sample depends on the images alone, not on their order or the format of the dataset.

    Args:
        model: a run folder or a `.keras` file.
        dataset: a dataset with images in that split.
        split: `train`, `validation` or `test`.
        images_per_class: maximum size of the sample.

    Returns:
        The map of the true class of each image, and the result of the sanity check.

    Raises:
        DataError: if the split is empty.
        FerlabError: as for `explain`.
    """
    part = dataset.require(Split.from_label(split) if isinstance(split, str) else split)
    digests = np.array([digest.hex() for digest in part.digests()])
    members = [np.flatnonzero(part.labels == label) for label in range(len(part.class_names))]
    chosen = np.concatenate([own[np.argsort(digests[own], kind="stable")][:images_per_class] for own in members])
    images, labels = part.images[chosen], part.labels[chosen]
    network, names = _open(model, part.class_names)
    found = grad_cam(network, images, labels)
    return SplitExplanation(
        class_names=names,
        layer=found.layer,
        images=images,
        labels=labels,
        maps=found.maps[:, 0],
        rank_correlation=correlation_with_random(network, images, labels, found.maps[:, 0]),
    )


def _open(model: str | Path, class_names: Sequence[str] | None) -> tuple["keras.Model", tuple[str, ...]]:
    """Open a Keras model, and name its classes.

    Raises:
        FerlabError: if it has no gradients, or its classes differ from `class_names`.
    """
    opened = open_model(model)
    if opened.artifact:
        raise FerlabError(f"{model} has no gradients, which Grad-CAM needs. Pass a run folder or a .keras file.")
    network = opened.keras_model
    own = opened.provenance.class_names
    if class_names is not None:
        opened.require_classes(tuple(class_names), "the data")
    return network, tuple(class_names or own or [f"class {number}" for number in range(network.output_shape[-1])])


def write_image(explanation: Explanation, path: Path, title: str) -> None:
    """Write the explanation of the first image as a PNG: the image, and over it the map of each class.

    Raises:
        OutputError: if the file cannot be written.
    """
    face, probabilities, heats = explanation.images[0], explanation.probabilities[0], explanation.maps[0]
    _write_png(path, class_sheet(face, explanation.class_names, probabilities, heats, _notes(explanation, title)))


def write_classes(explanation: SplitExplanation, path: Path, title: str, *, show_images: bool = True) -> None:
    """Write the mean map of each class as a PNG.

    Args:
        explanation: explanation of some images of each class.
        path: the output file.
        title: title of the sheet.
        show_images: also show the mean face and a few single faces of each class.

    Raises:
        OutputError: if the file cannot be written.
    """
    notes, counts, heats = _notes(explanation, title), explanation.counts(), explanation.mean_maps()
    captions = [f"{name}, {count} images" for name, count in zip(explanation.class_names, counts, strict=True)]
    if show_images:
        faces, examples = _faces_and_examples(explanation)
        _write_png(path, face_sheet(captions, heats, faces, examples, notes))
    else:
        _write_png(path, mean_sheet(captions, heats, notes))


def _notes(explanation: Explanation | SplitExplanation, title: str) -> list[str]:
    height, width = explanation.maps.shape[-2:]
    found = "unknown" if explanation.rank_correlation is None else f"{explanation.rank_correlation:.2f}"
    return [
        f"{title}: Grad-CAM, layer {explanation.layer} ({height}x{width})",
        f"Rank correlation with untrained networks: {found} (near 0: learned, near 1: not learned)",
    ]


def _write_png(path: Path, image: np.ndarray) -> None:
    content = cv2.imencode(".png", image)[1].tobytes()
    write_atomically(path, lambda file: file.write(content))


def _faces_and_examples(
    explanation: SplitExplanation,
) -> tuple[list[np.ndarray], list[list[tuple[np.ndarray, np.ndarray]]]]:
    """Return the mean face of each class, and a few faces of each class with their maps."""
    faces, examples = [], []
    for label, count in enumerate(explanation.counts()):
        members = np.flatnonzero(explanation.labels == label)
        faces.append(_mean_face(explanation.images[members]) if count else np.zeros((48, 48), np.uint8))
        examples.append([(explanation.images[member], explanation.maps[member]) for member in members[:NUM_EXAMPLES]])
    return faces, examples


def _mean_face(images: np.ndarray) -> np.ndarray:
    """Average images `(N, 48, 48)` uint8, with the contrast stretched to 0..255."""
    mean = images.mean(axis=0)
    return np.rint(255 * (mean - mean.min()) / max(float(np.ptp(mean)), 1.0)).astype(np.uint8)
