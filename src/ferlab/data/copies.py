"""Images that are there more than once: equal pixel by pixel."""

import numpy as np


def group_copies(images: np.ndarray) -> np.ndarray:
    """Tells which images are the same.

    Args:
        images: `(N, H, W)` uint8.

    Returns:
        `(N,)` int64: equal numbers for equal images, from 0 on in the order of their first appearance.

    Example:
        >>> images = np.array([[[1]], [[2]], [[1]]], np.uint8)
        >>> group_copies(images)
        array([0, 1, 0])
    """
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(image.tobytes(), len(numbers)) for image in images], np.int64)


def has_copy_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tells for each image `(N, H, W)` whether `others` `(M, H, W)` hold the same one: `(N,)` bool."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], bool)
