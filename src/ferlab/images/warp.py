"""Warp batches of images by affine maps."""

from collections.abc import Iterable

import cv2
import numpy as np


def warp_images(images: np.ndarray, matrices: Iterable[np.ndarray]) -> np.ndarray:
    """Warp each image by its own affine map. Pixels from outside repeat the border.

    Args:
        images: `(N, H, W)` uint8.
        matrices: N matrices `(2, 3)` from source to target coordinates.

    Returns:
        `(N, H, W)` uint8.
    """
    warped = np.empty_like(images)
    for image, matrix, target in zip(images, matrices, warped, strict=True):
        cv2.warpAffine(
            image, matrix, image.shape[::-1], dst=target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return warped
