"""Images that are there more than once: equal pixel by pixel."""

import hashlib
from collections.abc import Iterable

import numpy as np


def group_copies(images: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
    """Tells which images are the same.

    Args:
        images: `(N, H, W)` uint8.
        mirrored: take an image and its mirror image for the same.

    Returns:
        `(N,)` int64: equal numbers for equal images, from 0 on in the order of their first appearance.

    Example:
        >>> images = np.array([[[1, 0]], [[2, 0]], [[1, 0]], [[0, 2]]], np.uint8)
        >>> group_copies(images)
        array([0, 1, 0, 2])
        >>> group_copies(images, mirrored=True)
        array([0, 1, 0, 1])
    """
    numbers: dict[bytes, int] = {}
    keys = map(min, _digests(images), _digests(images[:, :, ::-1])) if mirrored else _digests(images)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def has_copy_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tells for each image `(N, H, W)` whether `others` `(M, H, W)` hold the same one: `(N,)` bool."""
    known = set(_digests(others))
    return np.array([digest in known for digest in _digests(images)], bool)


def _digests(images: np.ndarray) -> Iterable[bytes]:
    """What stands for an image: a million of them take 2.3 GB, and their digests 50 MB."""
    return (hashlib.sha256(image.tobytes()).digest() for image in images)
