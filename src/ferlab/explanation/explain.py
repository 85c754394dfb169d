"""Explanations: where in a picture a model sees each class, and whether that comes from what it has learned.

The maps are made by Grad-CAM (`gradcam.py`). The check: in networks of the same architecture with fresh random weights,
the maps have to be others (https://arxiv.org/abs/1810.03292). Where they are not, they show the architecture and the
picture, and nothing learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ferlab.backend import start_keras
from ferlab.data import Dataset, Split
from ferlab.errors import FerlabError, RunError
from ferlab.evaluation.metrics import log_softmax, rank_correlations
from ferlab.explanation.grad_cam import grad_cam
from ferlab.explanation.heatmaps import shares_by_height, sheet_of_classes, sheet_of_means
from ferlab.files import write_atomically
from ferlab.models import load_model
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras

IMAGES_PER_CLASS = 50  # of a split, at most
CHECKED_PER_CLASS = 5  # of them, whose maps are compared with those of random networks
RANDOM_NETWORKS = 3
NUM_EXAMPLES = 4  # faces of each class on a sheet
MEANING = (
    "mean rank correlation, -1 to 1, of maps with those of untrained networks: near 0 they come from what was learned, "
    "near 1 from the architecture and the picture alone"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What speaks for each class in pictures, according to one model.

    Args:
        class_names: K names.
        layer: the layer whose feature map was weighed.
        images: `(N, 48, 48)` uint8.
        probabilities: `(N, K)` float32.
        maps: `(N, K, H, W)` float32, 0..1: each divided by its highest value; all zero where nothing speaks for the
            class. H and W are those of the feature map.
        rank_correlation: of the maps of the model's answers with those of networks with random weights, -1..1; None
            where there is no map to compare.
    """

    class_names: tuple[str, ...]
    layer: str
    images: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray
    rank_correlation: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitExplanation:
    """What speaks for the true class in some images of each class of a split.

    Args:
        class_names: K names.
        layer: the layer whose feature map was weighed.
        images: `(N, 48, 48)` uint8.
        labels: `(N,)` int64.
        maps: `(N, H, W)` float32, 0..1, as those of `Explanation`.
        rank_correlation: of the maps with those of networks with random weights, -1..1, or None.
    """

    class_names: tuple[str, ...]
    layer: str
    images: np.ndarray
    labels: np.ndarray
    maps: np.ndarray
    rank_correlation: float | None

    def counts(self) -> np.ndarray:
        """The number of images of each class `(K,)`."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def mean_maps(self) -> np.ndarray:
        """The mean map of each class `(K, H, W)` float32, 0..1; all zero where it has no images."""
        sums = np.zeros((len(self.class_names), *self.maps.shape[1:]), np.float32)
        np.add.at(sums, self.labels, self.maps)
        return sums / np.maximum(self.counts(), 1)[:, None, None]


def explain(model: str | Path, images: np.ndarray, *, class_names: Sequence[str] | None = None) -> Explanation:
    """Makes the map of every class for each picture. It sets the seeds of Keras, NumPy and Python.

    Args:
        model: a run folder or a `.keras` file.
        images: `(N, 48, 48)` uint8, 0..255, at least one.
        class_names: K names, as in the data set; None takes those of the run, else `class 0`, `class 1`, ...

    Returns:
        The maps, probabilities, and how far random weights destroy the maps.

    Raises:
        FerlabError: if there is no such model, it was made for other classes, or has no feature map that is fit.
        RunError: if the folder holds no trained model.

    Example:
        >>> import ferlab
        >>> explanation = ferlab.explain("runs/fernet_s", faces)  # doctest: +SKIP
        >>> heat = explanation.maps[0, explanation.class_names.index("happy")]  # doctest: +SKIP
    """
    network, names = _load(model, class_names)
    layer, logits, maps = grad_cam(network, images)
    answers = logits.argmax(axis=1)
    return Explanation(
        class_names=names,
        layer=layer,
        images=images,
        probabilities=np.exp(log_softmax(logits)).astype(np.float32),
        maps=maps,
        rank_correlation=_correlation_with_random(network, images, answers, maps[np.arange(len(images)), answers]),
    )


def explain_split(
    model: str | Path,
    dataset: Dataset,
    split: str | Split = Split.VALIDATION,
    *,
    images_per_class: int = IMAGES_PER_CLASS,
) -> SplitExplanation:
    """Explains a few images of each class of a split: the same ones in whatever order and format the data comes.

    Args:
        model: a run folder or a `.keras` file.
        dataset: with images in that split.
        split: `train`, `validation` or `test`.
        images_per_class: at most.

    Returns:
        The map of the true class of each image, and how far random weights destroy the maps.

    Raises:
        DataError: if the split is empty.
        FerlabError: as for `explain`.
    """
    part = dataset.require(Split.from_label(split) if isinstance(split, str) else split)
    digests = np.array([digest.hex() for digest in part.digests()])
    members = [np.flatnonzero(part.labels == label) for label in range(len(part.class_names))]
    chosen = np.concatenate([own[np.argsort(digests[own], kind="stable")][:images_per_class] for own in members])
    images, labels = part.images[chosen], part.labels[chosen]
    network, names = _load(model, part.class_names)
    layer, _, maps = grad_cam(network, images, labels)
    return SplitExplanation(
        class_names=names,
        layer=layer,
        images=images,
        labels=labels,
        maps=maps[:, 0],
        rank_correlation=_correlation_with_random(network, images, labels, maps[:, 0]),
    )


def _load(model: str | Path, class_names: Sequence[str] | None) -> tuple["keras.Model", tuple[str, ...]]:
    """A model and the names of its classes.

    Raises:
        FerlabError: if it is none that has gradients, or was made for other classes than those named.
    """
    path = Path(model)
    if str(model) == "default" or path.suffix == ".onnx":
        raise FerlabError(f"{model} has no gradients, and maps are made of them. Give the run folder or .keras file.")
    if not path.exists():
        raise FerlabError(f"{path} does not exist. Give a run folder or a .keras file.")
    file = RunFolder(path).model_file if path.is_dir() else path
    if not file.is_file():
        raise RunError(f"{path} holds no trained model (model.keras). Train it first, or go on with --resume.")
    run = RunFolder(file.parent)
    own = tuple(run.dataset()["class_names"]) if run.exists() and file == run.model_file else None
    start_keras()
    network = load_model(file)
    names = tuple(class_names or own or [f"class {number}" for number in range(network.output_shape[-1])])
    if names != (own or names) or len(names) != network.output_shape[-1]:
        told = ", ".join(own) if own else f"{network.output_shape[-1]} classes"
        raise FerlabError(f"{path} tells apart {told}, and the data has {', '.join(names)}.")
    return network, names


def _correlation_with_random(
    network: "keras.Model", images: np.ndarray, labels: np.ndarray, maps: np.ndarray
) -> float | None:
    """The mean rank correlation of maps `(N, H, W)`, a few of each class, with those of random networks."""
    import keras

    chosen = np.concatenate([np.flatnonzero(labels == label)[:CHECKED_PER_CLASS] for label in np.unique(labels)])
    correlations = []
    for seed in range(RANDOM_NETWORKS):
        keras.utils.set_random_seed(seed)
        _, _, others = grad_cam(keras.models.clone_model(network), images[chosen], labels[chosen])
        correlations.append(rank_correlations(maps[chosen], others[:, 0]))
    known = np.concatenate(correlations)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else None


def describe_picture(explanation: Explanation) -> dict[str, Any]:
    """The explanation of one picture as plain values.

    Returns:
        `layer, classes, sanity`. `classes` holds by name the `probability`, the `map` as rows of values 0..1, and
        `by_height`, its shares in the upper, middle and lower third (null where the map is empty). `sanity` holds
        `rank_correlation` and its `meaning`.
    """
    known = zip(explanation.class_names, explanation.probabilities[0], explanation.maps[0], strict=True)
    classes = {name: {"probability": float(probability)} | _described(heat) for name, probability, heat in known}
    return {"layer": explanation.layer, "classes": classes, "sanity": _sanity(explanation)}


def describe_classes(explanation: SplitExplanation) -> dict[str, Any]:
    """The mean maps of an explanation as plain values: as for one picture, with `images` for the probability."""
    known = zip(explanation.class_names, explanation.counts(), explanation.mean_maps(), strict=True)
    classes = {name: {"images": int(count)} | _described(heat) for name, count, heat in known}
    return {"layer": explanation.layer, "classes": classes, "sanity": _sanity(explanation)}


def _described(heat: np.ndarray) -> dict[str, Any]:
    return {"by_height": shares_by_height(heat), "map": [[round(float(value), 4) for value in row] for row in heat]}


def _sanity(explanation: Explanation | SplitExplanation) -> dict[str, Any]:
    return {"rank_correlation": explanation.rank_correlation, "meaning": MEANING}


def write_picture(explanation: Explanation, path: Path, title: str) -> None:
    """Writes the explanation of one picture as a PNG: the picture, and over it the map of each class.

    Raises:
        RunError: if the file cannot be written.
    """
    face, probabilities, heats = explanation.images[0], explanation.probabilities[0], explanation.maps[0]
    sheet = sheet_of_classes(face, explanation.class_names, probabilities, heats, _notes(explanation, title))
    _write_png(path, sheet)


def write_classes(explanation: SplitExplanation, path: Path, title: str, *, pictures: bool = True) -> None:
    """Writes the mean map of each class as a PNG.

    Args:
        explanation: of some images of each class.
        path: the file.
        title: what was explained, in words.
        pictures: with the mean face of each class, and a few single ones.

    Raises:
        RunError: if the file cannot be written.
    """
    faces, examples = _shown(explanation) if pictures else ([], [])
    notes, counts, heats = _notes(explanation, title), explanation.counts(), explanation.mean_maps()
    _write_png(path, sheet_of_means(explanation.class_names, counts, heats, faces, examples, notes))


def _notes(explanation: Explanation | SplitExplanation, title: str) -> list[str]:
    height, width = explanation.maps.shape[-2:]
    found = "unknown" if explanation.rank_correlation is None else f"{explanation.rank_correlation:.2f}"
    return [
        f"{title}: Grad-CAM, layer {explanation.layer} ({height}x{width})",
        f"Rank correlation with maps of untrained networks: {found} (0: from what was learned, 1: not)",
    ]


def _write_png(path: Path, picture: np.ndarray) -> None:
    content = cv2.imencode(".png", picture)[1].tobytes()
    write_atomically(path, lambda file: file.write(content))


def _shown(explanation: SplitExplanation) -> tuple[list[np.ndarray], list[list[tuple[np.ndarray, np.ndarray]]]]:
    """The mean face of each class, and a few faces of each with their maps of that class."""
    faces, examples = [], []
    for label, count in enumerate(explanation.counts()):
        members = np.flatnonzero(explanation.labels == label)
        images = explanation.images[members]
        faces.append(_mean_face(images) if count else np.zeros((48, 48), np.uint8))
        examples.append([(explanation.images[member], explanation.maps[member]) for member in members[:NUM_EXAMPLES]])
    return faces, examples


def _mean_face(images: np.ndarray) -> np.ndarray:
    """The mean of images `(N, 48, 48)` uint8, its contrast stretched to all grays."""
    mean = images.mean(axis=0)
    return np.rint(255 * (mean - mean.min()) / max(float(np.ptp(mean)), 1.0)).astype(np.uint8)
