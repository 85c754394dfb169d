"""Counts of an audit, as written to `audit.json`."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ferlab.audit.image_quality import ClassStatistics
from ferlab.audit.label_errors import LabelErrors
from ferlab.audit.near_duplicates import THRESHOLD, Pairs
from ferlab.data import Dataset, Split
from ferlab.data.ferplus_agreement import VoteSummary
from ferlab.emotions import Target
from ferlab.results import SplitSummary

# By pair of splits, such as `train-test`: images of the second split with a copy in the first; None if one is empty.
Across = dict[str, int | None]


@dataclass(frozen=True, kw_only=True)
class ExactDuplicates:
    """Counts of images with identical pixels.

    Args:
        groups: number of groups of two or more identical images.
        surplus: number of images beyond the first of each group.
        conflicting_groups: number of groups with more than one label.
        across: number of images with an identical one in another split.
    """

    groups: int
    surplus: int
    conflicting_groups: int
    across: Across


@dataclass(frozen=True, kw_only=True)
class MirroredDuplicates:
    """Counts of groups that contain an image and its exact mirror image. Identical images do not count as mirrored."""

    groups: int
    images: int
    across: Across


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Counts of near copies: pairs with a similarity of at least `threshold`.

    `across` does not count images that also have an exact copy in the first split.
    """

    threshold: float
    pairs: int
    mirrored_pairs: int
    images: int
    pairs_with_conflicting_labels: int
    across: Across


@dataclass(frozen=True, kw_only=True)
class AuditSummary:
    """All counts of an audit.

    Args:
        source: file or folder name of the dataset.
        images: number of images.
        splits: splits by name.
        exact_duplicates: images with identical pixels.
        mirrored_duplicates: exact mirror images.
        near_duplicates: near copies.
        suspicions: number of images for each key of `REASONS`.
        classes: number of images and mean image statistics, by split and class.
        target: what the labels of FER2013's images are; null for other images.
        votes: agreement of the FER+ votes with the labels, by split; None without votes.
        label_errors: likely label errors found by a model; None without a model.
    """

    source: str
    images: int
    splits: dict[str, SplitSummary]
    exact_duplicates: ExactDuplicates
    mirrored_duplicates: MirroredDuplicates
    near_duplicates: NearDuplicates
    suspicions: dict[str, int]
    classes: dict[str, dict[str, ClassStatistics]]
    target: Target | None = None
    votes: dict[str, VoteSummary] | None
    label_errors: LabelErrors | None


def count_exact(dataset: Dataset, groups: np.ndarray) -> ExactDuplicates:
    """Count images that belong to the same group.

    Args:
        dataset: any dataset.
        groups: group number of each image, `(N,)`.
    """
    sizes = np.bincount(groups)
    return ExactDuplicates(
        groups=int(np.sum(sizes > 1)),
        surplus=int(len(groups) - len(sizes)),
        conflicting_groups=int(np.sum(_distinct(groups, dataset.labels) > 1)),
        across=_across(dataset, lambda first, second: int(np.isin(groups[second], groups[first]).sum())),
    )


def count_mirrored(dataset: Dataset, groups: np.ndarray, mirrored: np.ndarray) -> MirroredDuplicates:
    """Count images that are mirror images of each other.

    Args:
        dataset: any dataset.
        groups: group number of identical images, `(N,)`.
        mirrored: group number of images that are identical or mirrored, `(N,)`.
    """
    with_mirror_image = np.flatnonzero(_distinct(mirrored, groups) > 1)
    inside = np.isin(mirrored, with_mirror_image)

    def count(first: np.ndarray, second: np.ndarray) -> int:
        related = inside[second] & np.isin(mirrored[second], mirrored[first])
        return int(np.sum(related & ~np.isin(groups[second], groups[first])))

    return MirroredDuplicates(groups=len(with_mirror_image), images=int(inside.sum()), across=_across(dataset, count))


def count_near(dataset: Dataset, groups: np.ndarray, near: Pairs) -> NearDuplicates:
    """Count near copies. A near copy of an image is also counted as one of the exact copies of that image."""
    pairs = near.where(near.similarity >= THRESHOLD)
    linked = np.concatenate([groups[[pairs.first, pairs.second]], groups[[pairs.second, pairs.first]]], axis=1)

    def count(first: np.ndarray, second: np.ndarray) -> int:
        reached = linked[1][np.isin(linked[0], groups[first])]
        return int(np.sum(np.isin(groups[second], reached) & ~np.isin(groups[second], groups[first])))

    return NearDuplicates(
        threshold=THRESHOLD,
        pairs=len(pairs),
        mirrored_pairs=int(pairs.mirrored.sum()),
        images=int(np.isin(groups, linked).sum()),
        pairs_with_conflicting_labels=int(np.sum(dataset.labels[pairs.first] != dataset.labels[pairs.second])),
        across=_across(dataset, count),
    )


def _across(dataset: Dataset, count: Callable[[np.ndarray, np.ndarray], int]) -> Across:
    """Apply `count` to the image indices of each pair of splits."""
    indices = {split: np.flatnonzero(dataset.splits == split) for split in Split}
    return {
        f"{first.label}-{second.label}": count(indices[first], indices[second])
        if len(indices[first]) and len(indices[second])
        else None
        for first, second in combinations(Split, 2)
    }


def _distinct(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Count the distinct values `(N,)` in each group."""
    pairs = np.unique(np.stack([groups, values]), axis=1)
    return np.bincount(pairs[0], minlength=groups.max(initial=-1) + 1)
