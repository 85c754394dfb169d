"""Audit a dataset: count copies and leaks, and list suspicious images with the reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferlab.audit import image_quality, label_errors, near_duplicates
from ferlab.audit.image_quality import ImageStatistics
from ferlab.audit.label_errors import LabelErrors
from ferlab.audit.near_duplicates import Pairs
from ferlab.audit.summary import AuditSummary, count_exact, count_mirrored, count_near
from ferlab.data import Dataset, ferplus_agreement
from ferlab.data.copies import group_copies
from ferlab.data.ferplus import VOTES
from ferlab.emotions import FERPLUS

REASONS = {
    "exact copy": "identical to an earlier image of the same split",
    "copy across splits": "identical to an image of an earlier split (train, validation, test)",
    "conflicting labels": "identical to an image with another label",
    "mirrored copy": "exact mirror image of another image",
    "near copy": "same photo as another image, cropped, scaled or retouched slightly differently",
    "blank": "almost no contrast",
    "not a photo": "large areas of one gray level: a drawing, text, a placeholder, or a truncated image",
    "not a face": "marked as not a face by most FER+ annotators",
    "label without votes": "no FER+ annotator chose this label",
    "likely label error": "disputed by a model that was not trained on this image",
}
CLASS_NAMES = {ferplus_name: name for name, ferplus_name in FERPLUS.items()}  # by their names in FER+


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """An image and a reason why it is suspicious.

    Args:
        reason: a key of `REASONS`.
        index: index of the image.
        partner: index of the image that it is compared with; None if there is none.
        suggested: the class that votes, the partner or the model suggest instead of the label; empty if there is none.
        score: strength of the evidence, 0..1: a similarity, a share of votes, or one minus a probability.
    """

    reason: str
    index: int
    partner: int | None = None
    suggested: str = ""
    score: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """Result of an audit.

    Args:
        dataset: the audited dataset.
        summary: all counts, as written to `audit.json`.
        suspicions: suspicious images, in the order of `REASONS`.
        near: pairs of near copies, and pairs slightly below the threshold.
        groups: group number of identical images, `(N,)`.
    """

    dataset: Dataset
    summary: AuditSummary
    suspicions: tuple[Suspicion, ...]
    near: Pairs
    groups: np.ndarray


def audit(dataset: Dataset, model: str | Path | None = None) -> Audit:
    """Find copies, leaks across splits, non-face images and doubtful labels.

    Args:
        dataset: any dataset. FER+ votes are used if they were joined.
        model: a run folder, a `.keras` file, an artifact, or the name of a network in the package. It is used
            to find label errors in the
            validation and test splits, and must not have been trained on these.

    Returns:
        The findings.

    Raises:
        DataError: if a model is given and the dataset has only training images.
        MissingExtraError: if the libraries of the extra `audit` are not installed.

    Example:
        >>> from ferlab import load_dataset
        >>> audit(load_dataset("demo")).summary.exact_duplicates.surplus
        0
    """
    disputes, disputed = _disputed_labels(dataset, model) if model else ([], None)
    groups, mirrored = group_copies(dataset.images), group_copies(dataset.images, mirrored=True)
    near, statistics = near_duplicates.near_copies(dataset.images), image_quality.measure(dataset.images)
    suspicions = [
        *_exact(dataset, groups),
        *_mirrored(groups, mirrored),
        *_near(near),
        *_non_photos(statistics),
        *(_votes(dataset) if dataset.votes is not None else ()),
        *disputes,
    ]
    order = list(REASONS)
    suspicions.sort(key=lambda suspicion: order.index(suspicion.reason))  # stable: keeps the order within a reason
    by_reason = {reason: {item.index for item in suspicions if item.reason == reason} for reason in REASONS}
    summary = AuditSummary(
        source=Path(dataset.source).name,
        images=len(dataset),
        splits=dataset.summary().splits,
        exact_duplicates=count_exact(dataset, groups),
        mirrored_duplicates=count_mirrored(dataset, groups, mirrored),
        near_duplicates=count_near(dataset, groups, near),
        suspicions={reason: len(images) for reason, images in by_reason.items()},
        classes=image_quality.describe_classes(dataset, statistics),
        target=dataset.target,
        votes=None if dataset.votes is None else ferplus_agreement.describe_votes(dataset),
        label_errors=disputed,
    )
    return Audit(dataset=dataset, summary=summary, suspicions=tuple(suspicions), near=near, groups=groups)


def _exact(dataset: Dataset, groups: np.ndarray) -> Iterator[Suspicion]:
    order = np.lexsort((dataset.splits, groups))  # stable: by group, then split, then position
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for members in np.split(order, starts[1:]) if len(order) else []:
        if len(members) > 1:
            yield from _copies(dataset, members.tolist())


def _copies(dataset: Dataset, members: list[int]) -> Iterator[Suspicion]:
    """List the reasons for a group of identical images, given in the order of their splits."""
    firsts: dict[int, int] = {}  # split -> its first member
    for index in members:
        first = firsts.setdefault(int(dataset.splits[index]), index)
        if first != index:
            yield Suspicion(reason="exact copy", index=index, partner=first)
        if dataset.splits[index] != dataset.splits[members[0]]:
            yield Suspicion(reason="copy across splits", index=index, partner=members[0])
        other = next((other for other in members if dataset.labels[other] != dataset.labels[index]), None)
        if other is not None:
            suggested = dataset.class_names[dataset.labels[other]]
            yield Suspicion(reason="conflicting labels", index=index, partner=other, suggested=suggested)


def _mirrored(groups: np.ndarray, mirrored: np.ndarray) -> Iterator[Suspicion]:
    firsts: dict[int, int] = {}
    for index, group in enumerate(mirrored.tolist()):
        first = firsts.setdefault(group, index)
        if groups[first] != groups[index]:
            yield Suspicion(reason="mirrored copy", index=index, partner=first)


def _near(near: Pairs) -> Iterator[Suspicion]:
    counted = near.where(near.similarity >= near_duplicates.THRESHOLD)
    for first, second, similarity in zip(counted.first, counted.second, counted.similarity, strict=True):
        yield Suspicion(reason="near copy", index=int(second), partner=int(first), score=min(1.0, float(similarity)))


def _non_photos(statistics: ImageStatistics) -> Iterator[Suspicion]:
    for index in np.flatnonzero(image_quality.blank(statistics)):
        yield Suspicion(reason="blank", index=int(index))
    for index in np.flatnonzero(image_quality.not_a_photo(statistics)):
        plain = max(statistics.one_gray[index], statistics.plain_rows[index])
        yield Suspicion(reason="not a photo", index=int(index), score=float(plain))


def _votes(dataset: Dataset) -> Iterator[Suspicion]:
    assert dataset.votes is not None
    shares = dataset.votes / np.maximum(dataset.votes.sum(axis=1, keepdims=True), 1)
    for index in np.flatnonzero(ferplus_agreement.not_a_face(dataset)):
        yield Suspicion(reason="not a face", index=int(index), score=float(shares[index, ferplus_agreement.NOT_A_FACE]))
    for index in np.flatnonzero(ferplus_agreement.nobody_voted_for_label(dataset)):
        voted = VOTES[shares[index].argmax()]
        suggested, score = CLASS_NAMES.get(voted, voted), float(shares[index].max())
        yield Suspicion(reason="label without votes", index=int(index), suggested=suggested, score=score)


def _disputed_labels(dataset: Dataset, model: str | Path) -> tuple[list[Suspicion], LabelErrors]:
    """List the labels that a model disputes, the least probable label first, and count them."""
    probabilities = label_errors.unseen_probabilities(model, dataset)
    positions = np.flatnonzero(~np.isnan(probabilities[:, 0]))
    part, predicted = dataset.where(~np.isnan(probabilities[:, 0])), probabilities[positions]
    errors = label_errors.likely_errors(part.labels, predicted)
    suspicions = [
        Suspicion(
            reason="likely label error",
            index=int(positions[error]),
            suggested=part.class_names[predicted[error].argmax()],
            score=1 - float(predicted[error, part.labels[error]]),
        )
        for error in errors.tolist()
    ]
    return suspicions, label_errors.describe_errors(part, predicted, errors, str(model))
