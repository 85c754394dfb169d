"""What run folders store as arrays: predictions with the images that reports show, and mean Grad-CAM maps."""

from dataclasses import dataclass

import numpy as np

from ferlab.data import Dataset
from ferlab.data.copies import group_copies

NUM_EXAMPLES = 12  # images of each kind that are stored for reports


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """The predictions of a model on N images of one split.

    Args:
        probabilities: `(N, K)` float32.
        labels: `(N,)` int64.
        names: `(N,)` str.
        keys: `(N,)` uint64, hashes that identify an image with its label.
        copies: `(N,)` int64, equal for identical images, even if their labels differ.
        examples: `(M,)` int64, positions of the images that are stored for reports.
        example_images: `(M, 48, 48)` uint8.

    Raises:
        ValueError: if the arrays do not fit together.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    keys: np.ndarray
    copies: np.ndarray
    examples: np.ndarray
    example_images: np.ndarray

    def __post_init__(self) -> None:
        images = (len(self.labels),) if self.labels.ndim else ()
        examples = (len(self.examples),) if self.examples.ndim else ()
        _check_array("labels", self.labels, images, "i")
        _check_array("probabilities", self.probabilities, (*images, *self.probabilities.shape[1:2]), "f")
        _check_array("names", self.names, images, "U")
        _check_array("keys", self.keys, images, "u")
        _check_array("copies", self.copies, images, "i")
        _check_array("examples", self.examples, examples, "i")
        _check_array("example_images", self.example_images, (*examples, 48, 48), "u")
        if not np.isfinite(self.probabilities).all():
            raise ValueError("a probability is not a finite number")
        if self.probabilities.ndim != 2 or not _are_positions(self.labels, self.probabilities.shape[1]):
            raise ValueError("a label is not one of the classes")
        if not _are_positions(self.examples, len(self.labels)):
            raise ValueError("an example is not one of the images")

    @classmethod
    def on(cls, part: Dataset, probabilities: np.ndarray) -> "Predictions":
        """Collect the predictions on the images of a dataset, with some example images for reports."""
        probabilities = probabilities.astype(np.float32)
        examples = np.union1d(random_examples(len(part)), confident_mistakes(part.labels, probabilities))
        return cls(
            probabilities=probabilities,
            labels=part.labels,
            names=part.names,
            keys=np.array([int.from_bytes(digest[:8], "big") for digest in part.digests()], np.uint64),
            copies=group_copies(part.images),
            examples=examples,
            example_images=part.images[examples],
        )

    @property
    def order(self) -> np.ndarray:
        """Positions `(N,)` that sort the images by their keys, so that runs can be compared image by image."""
        return np.argsort(self.keys, kind="stable")

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is correct: `(N,)` bool."""
        return self.probabilities.argmax(axis=1) == self.labels

    def position(self, key: int) -> int:
        """Return the position of the image with a key."""
        return int(np.flatnonzero(self.keys == key)[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMaps:
    """The mean Grad-CAM map of each class over a few images of one split.

    Args:
        maps: `(K, H, W)` float32, 0..1.
        images: `(K,)` int64, number of images of each class.
        split: `()` str, name of the split.
        layer: `()` str, name of the layer.
        rank_correlation: `()` float, -1..1, with the maps of untrained networks; NaN if unknown.

    Raises:
        ValueError: if the arrays do not fit together.
    """

    maps: np.ndarray
    images: np.ndarray
    split: np.ndarray
    layer: np.ndarray
    rank_correlation: np.ndarray

    def __post_init__(self) -> None:
        if self.maps.ndim != 3 or self.maps.dtype.kind != "f":
            raise ValueError(f"maps has an unexpected shape or dtype: {self.maps.shape} {self.maps.dtype}")
        _check_array("images", self.images, self.maps.shape[:1], "iu")
        for name, kind in (("split", "U"), ("layer", "U"), ("rank_correlation", "f")):
            _check_array(name, getattr(self, name), (), kind)
        if not np.isfinite(self.maps).all():
            raise ValueError("a map has a value that is not a finite number")


def _check_array(name: str, array: np.ndarray, shape: tuple[int, ...], kinds: str) -> None:
    """Check the shape of an array, and the kind of its dtype, which is one of some letters."""
    if array.shape != shape or array.dtype.kind not in kinds:
        raise ValueError(f"{name} has an unexpected shape or dtype: {array.shape} {array.dtype}")


def _are_positions(numbers: np.ndarray, size: int) -> bool:
    return bool(((numbers >= 0) & (numbers < size)).all())


def random_examples(num_images: int) -> np.ndarray:
    """Choose positions of a few images, in random order, the same for every run on the same data."""
    return np.random.default_rng(0).permutation(num_images)[:NUM_EXAMPLES]


def confident_mistakes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find the positions `(M,)` of the incorrect predictions with the highest confidence, highest first.

    Args:
        labels: `(N,)`.
        probabilities: `(N, K)`.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    return order[predicted[order] != labels[order]][:NUM_EXAMPLES]
