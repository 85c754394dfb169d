"""The audit of a data set: what is counted, and which images are suspicious for which reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.audit import image_quality, label_errors, near_duplicates
from ferlab.audit.near_duplicates import Pairs
from ferlab.data import Dataset, Split, votes
from ferlab.data.copies import group_copies
from ferlab.data.ferplus import VOTES
from ferlab.emotions import FERPLUS

REASONS = {
    "exact copy": "equal pixel by pixel to an earlier image of its split",
    "copy across splits": "equal pixel by pixel to an image of an earlier split: train, validation, test",
    "conflicting labels": "equal pixel by pixel to an image with another label",
    "mirrored copy": "the mirror image of another one, pixel by pixel",
    "near copy": "the same photograph as another image, cut, scaled or marked a little differently",
    "blank": "hardly any contrast",
    "no photograph": "large parts of one gray: a drawing, a text, a placeholder, or a picture that was cut short",
    "not a face": "most voters of FER+ say so",
    "label without a vote": "none of FER+'s voters chose its label",
    "likely label error": "a model that did not learn from it disputes its label",
}
FERLAB_NAMES = {theirs: ours for ours, theirs in FERPLUS.items()}


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """One image and one reason.

    Args:
        reason: a key of `REASONS`.
        index: of the image.
        partner: index of the image that it is compared with, where there is one.
        suggested: the answer that speaks against its label, where there is one.
        score: how strongly, 0..1: a similarity, a share of votes, or one minus a probability.
    """

    reason: str
    index: int
    partner: int | None = None
    suggested: str = ""
    score: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """What was found.

    Args:
        dataset: what was looked at.
        summary: all counts, as `audit.json` holds them.
        suspicions: by reason, in the order of `REASONS`.
        near: pairs of near copies, with those that resemble each other a little less than it takes.
        groups: numbers of equal images `(N,)`.
    """

    dataset: Dataset
    summary: dict[str, Any]
    suspicions: tuple[Suspicion, ...]
    near: Pairs
    groups: np.ndarray


def audit(dataset: Dataset, model: str | Path | None = None) -> Audit:
    """Looks for copies, leaks across splits, pictures that are none, and doubtful labels.

    Args:
        dataset: any; with votes of FER+, these are looked at as well.
        model: a run folder, a `.keras` file, an artifact, or `default`: it disputes labels of the validation and test
            splits. It must have been trained on this data's training split, or on none of it.

    Returns:
        The findings.

    Raises:
        DataError: if there is a model, and nothing but training images.
        MissingExtraError: if the libraries of the extra `audit` are not installed.

    Example:
        >>> from ferlab import load_dataset
        >>> copies = audit(load_dataset("demo")).summary["exact_duplicates"]
        >>> copies["surplus"]
        0
    """
    disputes, disputed = _disputed_labels(dataset, model) if model else ([], None)
    groups, mirrored = group_copies(dataset.images), group_copies(dataset.images, mirrored=True)
    near, measures = near_duplicates.near_copies(dataset.images), image_quality.measure(dataset.images)
    suspicions = [
        *_exact(dataset, groups),
        *_mirrored(groups, mirrored),
        *_near(near),
        *_pictures(measures),
        *(_votes(dataset) if dataset.votes is not None else ()),
        *disputes,
    ]
    order = list(REASONS)
    suspicions.sort(key=lambda suspicion: order.index(suspicion.reason))  # stable: each reason keeps its own order
    reasons = [suspicion.reason for suspicion in suspicions]
    summary = {
        "source": dataset.summary().source,
        "images": len(dataset),
        "splits": {name: vars(split) for name, split in dataset.summary().splits.items()},
        "exact_duplicates": describe_groups(dataset, groups),
        "mirrored_duplicates": _describe_mirrored(dataset, groups, mirrored),
        "near_duplicates": _describe_near(dataset, groups, near),
        "suspicions": {reason: reasons.count(reason) for reason in REASONS},
        "classes": image_quality.describe_classes(dataset, measures),
        "votes": None if dataset.votes is None else votes.describe_votes(dataset),
        "label_errors": disputed,
    }
    return Audit(dataset=dataset, summary=summary, suspicions=tuple(suspicions), near=near, groups=groups)


def describe_groups(dataset: Dataset, groups: np.ndarray) -> dict[str, Any]:
    """Counts of images that belong together.

    Args:
        dataset: any.
        groups: `(N,)` number of each image's group.

    Returns:
        `groups` (of two images or more), `surplus` (images less groups of any size), `conflicting_groups` (with more
        than one label), and `across`: by pair of splits, such as `train-test`, how many images of the second one have
        one of their group in the first. Pairs with an absent split are null.
    """
    sizes = np.bincount(groups)
    return {
        "groups": int(np.sum(sizes > 1)),
        "surplus": int(len(groups) - len(sizes)),
        "conflicting_groups": int(np.sum(_distinct_labels(dataset, groups) > 1)),
        "across": _across(dataset, lambda first, second: int(np.isin(groups[second], groups[first]).sum())),
    }


def _across(dataset: Dataset, count: Any) -> dict[str, int | None]:
    """By pair of splits what `count` makes of the positions of their images; null where a split is absent."""
    return {
        f"{first.label}-{second.label}": count(
            np.flatnonzero(dataset.splits == first), np.flatnonzero(dataset.splits == second)
        )
        if dataset.has(first) and dataset.has(second)
        else None
        for first, second in combinations(Split, 2)
    }


def _distinct_labels(dataset: Dataset, groups: np.ndarray) -> np.ndarray:
    """How many labels each group has."""
    pairs = np.unique(np.stack([groups, dataset.labels]), axis=1)
    return np.bincount(pairs[0], minlength=groups.max(initial=-1) + 1)


def _describe_mirrored(dataset: Dataset, groups: np.ndarray, mirrored: np.ndarray) -> dict[str, Any]:
    """Like `describe_groups`, for groups with mirror images in them; images equal pixel by pixel do not count."""
    both = np.flatnonzero(_kinds(groups, mirrored) > 1)
    inside = np.isin(mirrored, both)

    def count(first: np.ndarray, second: np.ndarray) -> int:
        related = inside[second] & np.isin(mirrored[second], mirrored[first])
        return int(np.sum(related & ~np.isin(groups[second], groups[first])))

    return {"groups": len(both), "images": int(inside.sum()), "across": _across(dataset, count)}


def _kinds(groups: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """How many different pictures each group of mirror images holds: 1 or 2."""
    pairs = np.unique(np.stack([mirrored, groups]), axis=1)
    return np.bincount(pairs[0], minlength=mirrored.max(initial=-1) + 1)


def _describe_near(dataset: Dataset, groups: np.ndarray, near: Pairs) -> dict[str, Any]:
    """Counts of near copies; those of an image that is there several times are those of each of its copies."""
    pairs = near.where(near.similarity >= near_duplicates.THRESHOLD)
    linked = np.concatenate([groups[[pairs.first, pairs.second]], groups[[pairs.second, pairs.first]]], axis=1)

    def count(first: np.ndarray, second: np.ndarray) -> int:
        reached = linked[1][np.isin(linked[0], groups[first])]
        return int(np.sum(np.isin(groups[second], reached) & ~np.isin(groups[second], groups[first])))

    return {
        "threshold": near_duplicates.THRESHOLD,
        "pairs": len(pairs),
        "mirrored_pairs": int(pairs.mirrored.sum()),
        "images": int(np.isin(groups, linked).sum()),
        "pairs_with_conflicting_labels": int(np.sum(dataset.labels[pairs.first] != dataset.labels[pairs.second])),
        "across": _across(dataset, count),
    }


def _exact(dataset: Dataset, groups: np.ndarray) -> Iterator[Suspicion]:
    order = np.lexsort((dataset.splits, groups))  # stable: by group, then split, then position
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for members in np.split(order, starts[1:]) if len(order) else []:
        if len(members) > 1:
            yield from _copies(dataset, members.tolist())


def _copies(dataset: Dataset, members: list[int]) -> Iterator[Suspicion]:
    """What is to be said of equal images, given in the order of their splits."""
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


def _pictures(measures: dict[str, np.ndarray]) -> Iterator[Suspicion]:
    for index in np.flatnonzero(image_quality.blank(measures)):
        yield Suspicion(reason="blank", index=int(index))
    for index in np.flatnonzero(image_quality.no_photograph(measures)):
        plain = max(measures["one_gray"][index], measures["plain_rows"][index])
        yield Suspicion(reason="no photograph", index=int(index), score=float(plain))


def _votes(dataset: Dataset) -> Iterator[Suspicion]:
    assert dataset.votes is not None
    shares = dataset.votes / np.maximum(dataset.votes.sum(axis=1, keepdims=True), 1)
    for index in np.flatnonzero(votes.not_a_face(dataset)):
        yield Suspicion(reason="not a face", index=int(index), score=float(shares[index, votes.NOT_A_FACE]))
    for index in np.flatnonzero(votes.nobody_voted_for_label(dataset)):
        answer = VOTES[shares[index].argmax()]
        suggested, score = FERLAB_NAMES.get(answer, answer), float(shares[index].max())
        yield Suspicion(reason="label without a vote", index=int(index), suggested=suggested, score=score)


def _disputed_labels(dataset: Dataset, model: str | Path) -> tuple[list[Suspicion], dict[str, Any]]:
    """The labels that a model disputes, the least probable one first, and their counts."""
    probabilities = label_errors.unseen_probabilities(model, dataset)
    positions = np.flatnonzero(~np.isnan(probabilities[:, 0]))
    part, answers = dataset.where(~np.isnan(probabilities[:, 0])), probabilities[positions]
    errors = label_errors.likely_errors(part.labels, answers)
    suspicions = [
        Suspicion(
            reason="likely label error",
            index=int(positions[error]),
            suggested=part.class_names[answers[error].argmax()],
            score=1 - float(answers[error, part.labels[error]]),
        )
        for error in errors.tolist()
    ]
    return suspicions, {"model": str(model), **label_errors.describe_errors(part, answers, errors)}
