"""Crop the face in a photo as the predictor does, with a detector that ships with OpenCV."""

from functools import cache

import numpy as np

from ferlab.images.crop import CROP_MARGIN, crop_face
from ferlab.images.detectors import Haar


def largest_face(image: np.ndarray) -> np.ndarray | None:
    """Crop the largest frontal face in an image.

    Args:
        image: grayscale image, `(H, W)` uint8.

    Returns:
        The face crop, `(48, 48)` uint8, or None if no face is found.
    """
    colors = np.repeat(image[..., None], 3, axis=2)
    found = _detector().detect(colors)
    return crop_face(colors, found[0], CROP_MARGIN) if found else None


@cache
def _detector() -> Haar:
    return Haar()
