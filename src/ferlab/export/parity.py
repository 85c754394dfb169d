"""Parity: do a file and the Keras model that it was made of give the same answers to real images?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ferlab.data import Dataset
from ferlab.errors import ArtifactError
from ferlab.evaluation.evaluate import Classifier
from ferlab.evaluation.metrics import accuracy, log_softmax
from ferlab.export.latency import call_seconds, compiled_classifier
from ferlab.predict.artifact import Artifact

if TYPE_CHECKING:
    import keras

Quantize = Literal["none", "float16", "int8"]

BATCH_SIZES = (1, 8)
BATCHED_IMAGES = 128  # that are answered again in batches of each of these sizes


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a file may be from the Keras model. A limit of 1 is none.

    Args:
        difference: the largest of a probability, 0..1.
        changed: the share of images with another most probable class, 0..1.
        lost: accuracy lost on the whole validation split, 0..1.
    """

    difference: float
    changed: float
    lost: float


# In 8 bits about 2 % of the classes change, to the better or the worse. On the 3,589 images of PublicTest that alone
# moves the accuracy by 0.2 points, so that a lower limit would refuse sound files by chance.
TOLERANCES: dict[Quantize, Tolerance] = {
    "none": Tolerance(difference=1e-3, changed=1.0, lost=0.002),
    "float16": Tolerance(difference=2e-2, changed=1.0, lost=0.002),
    "int8": Tolerance(difference=1.0, changed=0.1, lost=0.005),
}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a file's answers differ from those of the Keras model.

    Args:
        images: how many were compared.
        largest_difference: of a probability, 0..1.
        changed: share of images with another most probable class, 0..1.
        keras_accuracy: 0..1.
        accuracy: of the file, 0..1.
    """

    images: int
    largest_difference: float
    changed: float
    keras_accuracy: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class BatchAgreement(Agreement):
    """The same in batches of one size, with the time that they take: half of them take no longer.

    Args:
        batch_size: images in each.
        keras_milliseconds: of Keras for one batch.
        milliseconds: of the file for one batch.
    """

    batch_size: int
    keras_milliseconds: float
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Parity(Agreement):
    """The agreement on all validation images, and on some of them in small batches.

    Args:
        batches: one for each size.
    """

    batches: tuple[BatchAgreement, ...]


def check_parity(
    model: "keras.Model", logits: np.ndarray, temperature: float, artifact: Artifact, validation: Dataset
) -> Parity:
    """Compares a file with the Keras model that it was made of.

    Args:
        model: from images to logits.
        logits: `(N, K)` float32, of all validation images.
        temperature: by which the file divides them.
        artifact: the file.
        validation: the N images.
    """
    whole = agreement(
        np.exp(log_softmax(logits / temperature)), artifact.probabilities(validation.images), validation.labels
    )
    by_keras = compiled_classifier(model, temperature)
    chosen = np.random.default_rng(0).permutation(len(validation))[:BATCHED_IMAGES]
    images, labels = validation.images[chosen], validation.labels[chosen]
    batches = tuple(
        _in_batches(by_keras, artifact.probabilities, images, labels, size)
        for size in BATCH_SIZES
        if size <= len(images)
    )
    return Parity(**vars(whole), batches=batches)


def agreement(expected: np.ndarray, found: np.ndarray, labels: np.ndarray) -> Agreement:
    """Compares the probabilities of two models.

    Args:
        expected: `(N, K)`, of the Keras model.
        found: `(N, K)`, of the file.
        labels: `(N,)`.
    """
    return Agreement(
        images=len(labels),
        largest_difference=float(np.abs(expected - found).max()),
        changed=float(np.mean(expected.argmax(axis=1) != found.argmax(axis=1))),
        keras_accuracy=accuracy(labels, expected),
        accuracy=accuracy(labels, found),
    )


def _in_batches(
    by_keras: Classifier, by_file: Classifier, images: np.ndarray, labels: np.ndarray, size: int
) -> BatchAgreement:
    """Both models' answers in full batches of a size, and their times."""
    number = len(images) // size * size
    batches = images[:number].reshape(-1, size, *images.shape[1:])
    answers, milliseconds = [], []
    for classify in (by_keras, by_file):
        answers.append(np.concatenate([classify(batch) for batch in batches]))
        milliseconds.append(1000 * float(np.median(call_seconds(classify, batches))))
    return BatchAgreement(
        **vars(agreement(answers[0], answers[1], labels[:number])),
        batch_size=size,
        keras_milliseconds=milliseconds[0],
        milliseconds=milliseconds[1],
    )


def refuse_if_different(parity: Parity, quantize: Quantize) -> None:
    """Refuses a file whose answers differ by more than the tolerance.

    Raises:
        ArtifactError: if they do, with what differs and where.
    """
    if excesses := [f"on {where} {reason}" for where, reason in _excesses(parity, TOLERANCES[quantize])]:
        raise ArtifactError(
            f"The exported model ({quantize}) answers otherwise than Keras: {'; '.join(excesses)}. No file was "
            "written. Try --quantize none."
        )


def _excesses(parity: Parity, tolerance: Tolerance) -> Iterator[tuple[str, str]]:
    """Each way in which a tolerance is exceeded, with where."""
    rows: list[tuple[str, Agreement]] = [(f"all {parity.images:,} images", parity)]
    rows += [(f"{row.images} images in batches of {row.batch_size}", row) for row in parity.batches]
    for where, row in rows:
        if not row.largest_difference <= tolerance.difference:  # nor is what is no number
            yield where, f"probabilities differ by up to {row.largest_difference:.2g}, {tolerance.difference:g} may be"
        if row.changed > tolerance.changed:
            yield where, f"{100 * row.changed:.1f} % get another class, {100 * tolerance.changed:g} % may"
    lost = parity.keras_accuracy - parity.accuracy
    if lost > tolerance.lost:
        yield rows[0][0], f"{100 * lost:.2f} points of accuracy are lost, {100 * tolerance.lost:g} may be"
