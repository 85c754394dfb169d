"""Parity: compare an artifact's predictions on real images with those of its reference, the Keras model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ferlab.data import Dataset
from ferlab.errors import ArtifactError
from ferlab.evaluation.metrics import accuracy, softmax
from ferlab.evaluation.trained_model import Classifier
from ferlab.export.latency import call_seconds, compiled_classifier
from ferlab.predict.artifact import Artifact

if TYPE_CHECKING:
    import keras

Quantize = Literal["none", "float16", "int8"]

BATCH_SIZES = (1, 8)
ROUNDING = 1e-9  # of an accuracy
BATCHED_IMAGES = 128  # predicted again in batches of each of these sizes


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest accepted deviation of an artifact from the Keras model. A limit of 1 disables a check.

    Args:
        max_difference: largest difference of a probability, 0..1.
        changed: share of images whose predicted class changes, 0..1.
        accuracy_loss: loss of accuracy on the whole validation split, 0..1; at least one image.
    """

    max_difference: float
    changed: float
    accuracy_loss: float


# With int8, about 2 % of the predictions change, some of them to the correct class. On the 3,589 images of PublicTest
# this alone moves the accuracy by 0.2 points, so a lower limit would reject valid artifacts by chance.
TOLERANCES: dict[Quantize, Tolerance] = {
    "none": Tolerance(max_difference=1e-3, changed=1.0, accuracy_loss=0.002),
    "float16": Tolerance(max_difference=2e-2, changed=1.0, accuracy_loss=0.002),
    "int8": Tolerance(max_difference=1.0, changed=0.1, accuracy_loss=0.005),
}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far an artifact's predictions deviate from those of the Keras model.

    Args:
        images: number of compared images.
        max_difference: largest difference of a probability, 0..1.
        changed: share of images whose predicted class changes, 0..1.
        accuracy: accuracy of the artifact, 0..1.
        keras_accuracy: accuracy of the Keras model, 0..1.
    """

    images: int
    max_difference: float
    changed: float
    accuracy: float
    keras_accuracy: float


@dataclass(frozen=True, kw_only=True)
class BatchAgreement(Agreement):
    """The same for batches of one size, with the median latency of a batch on all cores.

    Args:
        batch_size: images in each batch.
        p50_ms: median latency of the artifact in milliseconds.
        keras_p50_ms: median latency of Keras in milliseconds.
    """

    batch_size: int
    p50_ms: float
    keras_p50_ms: float


@dataclass(frozen=True, kw_only=True)
class Parity(Agreement):
    """The agreement on all validation images, and on some of them in small batches.

    Args:
        batches: one for each batch size.
    """

    batches: tuple[BatchAgreement, ...]


def check_parity(
    model: "keras.Model", logits: np.ndarray, temperature: float, artifact: Artifact, validation: Dataset
) -> Parity:
    """Compare an artifact with its Keras model.

    Args:
        model: maps images to logits.
        logits: `(N, K)` float32, of all validation images.
        temperature: divides the logits.
        artifact: the converted model.
        validation: the N validation images.
    """
    expected = softmax(logits / temperature)
    overall = compare_probabilities(expected, artifact.probabilities(validation.images), validation.labels)
    reference = compiled_classifier(model, temperature)
    chosen = np.random.default_rng(0).permutation(len(validation))[:BATCHED_IMAGES]
    images, labels = validation.images[chosen], validation.labels[chosen]
    batches = tuple(
        _compare_in_batches(reference, artifact.probabilities, images, labels, size)
        for size in BATCH_SIZES
        if size <= len(images)
    )
    return Parity(**vars(overall), batches=batches)


def compare_probabilities(expected: np.ndarray, found: np.ndarray, labels: np.ndarray) -> Agreement:
    """Compare the probabilities of two models.

    Args:
        expected: `(N, K)`, of the Keras model.
        found: `(N, K)`, of the artifact.
        labels: `(N,)`.
    """
    return Agreement(
        images=len(labels),
        max_difference=float(np.abs(expected - found).max()),
        changed=float(np.mean(expected.argmax(axis=1) != found.argmax(axis=1))),
        accuracy=accuracy(labels, found),
        keras_accuracy=accuracy(labels, expected),
    )


def _compare_in_batches(
    reference: Classifier, classify: Classifier, images: np.ndarray, labels: np.ndarray, size: int
) -> BatchAgreement:
    """Compare predictions and latencies in full batches of one size."""
    number = len(images) // size * size
    batches = images[:number].reshape(-1, size, *images.shape[1:])
    expected, found = (np.concatenate([run(batch) for batch in batches]) for run in (reference, classify))
    keras_p50, p50 = (float(np.median(call_seconds(run, batches))) for run in (reference, classify))
    return BatchAgreement(
        **vars(compare_probabilities(expected, found, labels[:number])),
        batch_size=size,
        p50_ms=1000 * p50,
        keras_p50_ms=1000 * keras_p50,
    )


class DeviationError(ArtifactError):
    """The predictions of an exported model deviate too far from those of the Keras model.

    Args:
        quantize: how the model was exported.
        reasons: each exceeded limit.
    """

    def __init__(self, quantize: Quantize, reasons: str) -> None:
        super().__init__(
            f"The predictions of the exported model (quantize: {quantize}) deviate too far from those of the Keras "
            f"model: {reasons}. No file was written. Try --quantize none."
        )
        self.reasons = reasons


def require_parity(parity: Parity, quantize: Quantize) -> None:
    """Reject an artifact whose predictions deviate by more than the tolerance.

    Raises:
        DeviationError: with each exceeded limit.
    """
    if excesses := [f"on {where}, {reason}" for where, reason in _excesses(parity, TOLERANCES[quantize])]:
        raise DeviationError(quantize, "; ".join(excesses))


def _excesses(parity: Parity, tolerance: Tolerance) -> Iterator[tuple[str, str]]:
    """Yield each exceeded limit, with the images that it was exceeded on."""
    rows: list[tuple[str, Agreement]] = [(f"all {parity.images:,} images", parity)]
    rows += [(f"{row.images} images in batches of {row.batch_size}", row) for row in parity.batches]
    for where, row in rows:
        if not row.max_difference <= tolerance.max_difference:  # also true for NaN
            limit = f"limit {tolerance.max_difference:g}"
            yield where, f"probabilities differ by up to {row.max_difference:.2g} ({limit})"
        if row.changed > tolerance.changed:
            limit = f"limit {100 * tolerance.changed:g} %"
            yield where, f"{100 * row.changed:.1f} % of the predictions change ({limit})"
    loss = parity.keras_accuracy - parity.accuracy
    most = max(tolerance.accuracy_loss, 1 / parity.images)  # one image may always change
    if loss > most + ROUNDING:
        limit = f"limit {100 * most:.2g}"
        yield rows[0][0], f"accuracy drops by {100 * loss:.2f} points ({limit})"
