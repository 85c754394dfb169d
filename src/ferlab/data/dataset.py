"""`Dataset`: labeled face images in memory, with their splits."""

import hashlib
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np

from ferlab.errors import DataError
from ferlab.results import DatasetSummary, Skipped, SplitSummary

IMAGE_SIZE = 48  # pixels; FER2013 images are squares of this side


class Split(IntEnum):
    """The three splits of the official protocol: Training, PublicTest, PrivateTest."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2

    @property
    def label(self) -> str:
        """The name used in commands and JSON: `train`, `validation` or `test`."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> "Split":
        """The split called `train`, `validation` or `test`."""
        return cls[label.upper()]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Labeled face images, whole in memory. Any split may be absent.

    Args:
        images: `(N, 48, 48)` uint8, 0..255, gray.
        labels: `(N,)` int64, indices into `class_names`.
        splits: `(N,)` uint8, values of `Split`.
        names: `(N,)` str, unique: the member of the archive, the path in the folder, or the row.
        class_names: K names, in the order of the labels.
        source: where the data came from, as the user wrote it.
        skipped: what was left out because it could not be read.
        votes: `(N, 10)` uint8, the answers of FER+'s voters in the order of `ferlab.data.ferplus.VOTES`, where joined.
        notes: sentences on what was done to the data beyond reading it, such as splits carved out of training.
    """

    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    names: np.ndarray
    class_names: tuple[str, ...]
    source: str
    skipped: tuple[Skipped, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    votes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, *splits: Split) -> "Dataset":
        """The part of the data in one or more splits; it may be empty."""
        return self.where(np.isin(self.splits, splits))

    def where(self, mask: np.ndarray) -> "Dataset":
        """The images for which `mask` `(N,)` is true."""
        return replace(
            self,
            images=self.images[mask],
            labels=self.labels[mask],
            splits=self.splits[mask],
            names=self.names[mask],
            votes=None if self.votes is None else self.votes[mask],
        )

    def has(self, split: Split) -> bool:
        """Whether the split holds any image."""
        return bool(np.any(self.splits == split))

    def require(self, *splits: Split) -> "Dataset":
        """Like `take`, but an empty result is an error.

        Raises:
            DataError: if there is no image in these splits.
        """
        part = self.take(*splits)
        if not len(part):
            wanted = " or ".join(split.label for split in splits)
            present = ", ".join(split.label for split in Split if self.has(split)) or "none"
            raise DataError(f"{self.source} has no {wanted} images (splits present: {present}).")
        return part

    def class_counts(self) -> dict[str, int]:
        """Number of images of each class, zero included."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(count) for name, count in zip(self.class_names, counts, strict=True)}

    def summary(self) -> DatasetSummary:
        """Summarize what a result depends on: class names, splits with their fingerprints, and notes."""
        parts = {split.label: self.take(split) for split in Split if self.has(split)}
        return DatasetSummary(
            source=Path(self.source).name,
            class_names=self.class_names,
            splits={
                name: SplitSummary(images=len(part), classes=part.class_counts(), fingerprint=part.fingerprints[name])
                for name, part in parts.items()
            },
            notes=self.notes,
        )

    def digests(self) -> list[bytes]:
        """SHA-256 of each image with its label: the same in whatever order and format the data comes."""
        names = [name.encode() for name in self.class_names]
        pairs = zip(self.images, self.labels, strict=True)
        return [hashlib.sha256(image.tobytes() + names[label]).digest() for image, label in pairs]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 per split that is present: equal for equal images and labels, whatever their names and order."""
        return {split.label: _fingerprint(self.take(split)) for split in Split if self.has(split)}


def _fingerprint(part: Dataset) -> str:
    return hashlib.sha256(b"".join(sorted(part.digests()))).hexdigest()
