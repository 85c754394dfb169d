"""Cutting faces out of pictures, framed as the network has learned them."""

import math

import numpy as np

from ferlab.errors import ImageError
from ferlab.images.detectors import Detection

CROP_SIDE = 48  # pixels of the network's input
CROP_MARGIN = 0.0  # for networks that learned FER2013, measured by benchmarks/crop_margin.py


def crop_face(image: np.ndarray, detection: Detection, margin: float) -> np.ndarray:
    """Cuts out a square about a face, turned so that the eyes are level where they are known.

    Args:
        image: `(H, W, 3)` uint8, RGB. What lies outside repeats its border.
        detection: the face, in pixels of `image`.
        margin: what is added on each side of a square of the box's area, as a share of its side.

    Returns:
        `(48, 48)` uint8, gray.
    """
    import cv2

    left, top, width, height = detection.box
    # As OpenCV counts: a pixel's middle has whole numbers.
    center = np.array([left + width / 2, top + height / 2]) - 0.5
    side = max(1.0, math.sqrt(width * height) * (1 + 2 * margin))
    image, corner = _surroundings(image, center, reach=side)
    center = center - corner
    fine = CROP_SIDE * max(1, math.ceil(side / CROP_SIDE))  # the crop's own pixels, averaged afterwards: no aliasing
    turn = cv2.getRotationMatrix2D(center.tolist(), _tilt(detection), fine / side)
    turn[:, 2] = turn[:, 2] + (fine - 1) / 2 - center
    crop = cv2.warpAffine(image, turn, (fine, fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_AREA)


def resize_crop(crop: np.ndarray) -> np.ndarray:
    """Makes a gray picture `(48, 48)` uint8 of a face's crop, gray or RGB, of any size.

    Raises:
        ImageError: if the array is no such picture.
    """
    if crop.dtype != np.uint8 or crop.ndim not in (2, 3) or not crop.size or crop.shape[2:] not in ((), (1,), (3,)):
        raise ImageError(f"A crop must be (H, W), (H, W, 1) or (H, W, 3) uint8, not {crop.shape} {crop.dtype}.")
    if crop.shape[:2] == (CROP_SIDE, CROP_SIDE) and crop.shape[2:] != (3,):
        return crop.reshape(CROP_SIDE, CROP_SIDE)
    import cv2

    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.shape[2:] == (3,) else crop.reshape(crop.shape[:2])
    shrinks = min(gray.shape) > CROP_SIDE
    return cv2.resize(gray, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _surroundings(image: np.ndarray, center: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture about a point, and its corner `(x, y)`: OpenCV warps none of over 32,767 pixels a side.

    Of a point outside, the nearest part of the border.
    """
    size = np.array([image.shape[1], image.shape[0]])
    start = np.clip(np.floor(center - reach), 0, size - 1).astype(int)
    end = np.clip(np.ceil(center + reach) + 1, start + 1, size).astype(int)
    return image[start[1] : end[1], start[0] : end[0]], start


def _tilt(detection: Detection) -> float:
    """By how many degrees the line from the right eye to the left one falls."""
    if not detection.landmarks:
        return 0.0
    (x0, y0), (x1, y1) = detection.landmarks["right_eye"], detection.landmarks["left_eye"]
    return math.degrees(math.atan2(y1 - y0, x1 - x0))
