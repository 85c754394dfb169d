"""`Dataset`: labeled face images with their splits, in memory."""

import hashlib
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np

from ferlab.emotions import Target
from ferlab.errors import DataError
from ferlab.results import DatasetSummary, Skipped, SplitSummary

IMAGE_SIZE = 48  # pixels; FER2013 images are 48x48


class Split(IntEnum):
    """The three splits of the official protocol: Training, PublicTest, PrivateTest."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2

    @property
    def label(self) -> str:
        """Name used on the command line and in JSON: `train`, `validation` or `test`."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> "Split":
        """Return the split named `train`, `validation` or `test`."""
        return cls[label.upper()]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Labeled face images, held in memory. Any split may be absent.

    Args:
        images: grayscale images, `(N, 48, 48)` uint8, 0..255.
        labels: indices into `class_names`, `(N,)` int64.
        splits: values of `Split`, `(N,)` uint8.
        names: unique names, `(N,)` str: the path in the folder or archive, or the row of the table.
        class_names: K class names in the order of the labels.
        source: the source as the user wrote it.
        skipped: items that could not be read and were skipped.
        omitted: names of images that were read but do not count, because the user excluded them or the target has no
            label for them.
        votes: votes of the FER+ annotators, `(N, 10)` uint8, in the order of `ferlab.data.ferplus.VOTES`; None unless
            they were joined.
        target: what the labels of FER2013's images are; None for other images, whose labels are those of their source.
        notes: what was done to the data besides reading it, such as splitting off validation images from training.
    """

    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    names: np.ndarray
    class_names: tuple[str, ...]
    source: str
    skipped: tuple[Skipped, ...] = field(default=())
    omitted: frozenset[str] = field(default=frozenset())
    notes: tuple[str, ...] = field(default=())
    votes: np.ndarray | None = None
    target: Target | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, *splits: Split) -> "Dataset":
        """Return the images of one or more splits; the result may be empty."""
        return self.where(np.isin(self.splits, splits))

    def where(self, mask: np.ndarray) -> "Dataset":
        """Return the images for which `mask` `(N,)` is true."""
        return replace(
            self,
            images=self.images[mask],
            labels=self.labels[mask],
            splits=self.splits[mask],
            names=self.names[mask],
            votes=None if self.votes is None else self.votes[mask],
        )

    def omit(self, mask: np.ndarray, note: str) -> "Dataset":
        """Return the dataset without the images for which `mask` `(N,)` is true, and with a note that says so."""
        omitted = self.omitted.union(self.names[mask].tolist())
        return replace(self.where(~mask), omitted=omitted, notes=(*self.notes, note))

    def has(self, split: Split) -> bool:
        """Return whether the split has any images."""
        return bool(np.any(self.splits == split))

    def require(self, *splits: Split) -> "Dataset":
        """Return the images of one or more splits, like `take`, but raise if there are none.

        Raises:
            DataError: if these splits have no images.
        """
        part = self.take(*splits)
        if not len(part):
            wanted = " or ".join(split.label for split in splits)
            present = ", ".join(split.label for split in Split if self.has(split)) or "none"
            raise DataError(f"{self.source} has no {wanted} images (splits present: {present}).")
        return part

    def class_counts(self) -> dict[str, int]:
        """Count the images of each class, including classes without images."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(count) for name, count in zip(self.class_names, counts, strict=True)}

    def summary(self) -> DatasetSummary:
        """Summarize what a result depends on: class names, splits with their fingerprints, and notes."""
        parts = {split.label: self.take(split) for split in Split if self.has(split)}
        return DatasetSummary(
            source=Path(self.source).name,
            target=self.target,
            class_names=self.class_names,
            splits={
                name: SplitSummary(images=len(part), classes=part.class_counts(), fingerprint=part.fingerprints[name])
                for name, part in parts.items()
            },
            notes=self.notes,
        )

    def digests(self) -> list[bytes]:
        """Compute the SHA-256 of each image with its label; it does not depend on order or file format."""
        names = [name.encode() for name in self.class_names]
        pairs = zip(self.images, self.labels, strict=True)
        return [hashlib.sha256(image.tobytes() + names[label]).digest() for image, label in pairs]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each split that is present. It depends on images and labels, not on names or order."""
        return {split.label: _fingerprint(self.take(split)) for split in Split if self.has(split)}


def _fingerprint(part: Dataset) -> str:
    return hashlib.sha256(b"".join(sorted(part.digests()))).hexdigest()
