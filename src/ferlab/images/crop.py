"""Crop faces from images, with the framing that the models were trained on."""

import math

import numpy as np

from ferlab.errors import ImageError
from ferlab.images.detection import Detection, middle_square

CROP_SIDE = 48  # pixels, the input size of every model
CROP_MARGIN = 0.0  # for models trained on FER2013; measured by benchmarks/crop_margin.py


def crop_face(image: np.ndarray, detection: Detection, margin: float) -> np.ndarray:
    """Crop a square around a face and rotate it so that the eyes are level.

    The crop is not rotated if the detection has no landmarks. Pixels outside the image repeat its border.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        detection: the face, in pixels of `image`.
        margin: extra space on each side, as a fraction of the side of a square with the area of the bounding box.

    Returns:
        `(48, 48)` uint8, gray.
    """
    import cv2

    left, top, width, height = detection.box
    center = np.array([left + width / 2, top + height / 2]) - 0.5  # OpenCV: pixel centers have integer coordinates
    side = max(1.0, math.sqrt(width * height) * (1 + 2 * margin))
    image, corner = _neighborhood(image, center, reach=0.75 * side + 2)  # half a diagonal is 0.71 sides
    gray, center = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), center - corner
    fine = CROP_SIDE * max(1, math.ceil(side / CROP_SIDE))  # warp at full resolution, then average to avoid aliasing
    rotation = cv2.getRotationMatrix2D(center.tolist(), _tilt(detection), fine / side)
    rotation[:, 2] = rotation[:, 2] + (fine - 1) / 2 - center
    crop = cv2.warpAffine(gray, rotation, (fine, fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(crop, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_AREA)


def resize_crop(crop: np.ndarray) -> np.ndarray:
    """Convert a face crop, or an image that shows one face, to the input size of the models.

    Args:
        crop: uint8, 0..255, of any size: gray `(H, W)` or `(H, W, 1)`, or RGB `(H, W, 3)`. If it is not a square, its
            middle square is used.

    Returns:
        `(48, 48)` uint8, gray.

    Raises:
        ImageError: if the array has another shape or dtype.
    """
    if crop.dtype != np.uint8 or crop.ndim not in (2, 3) or not crop.size or crop.shape[2:] not in ((), (1,), (3,)):
        raise ImageError(f"A crop must be (H, W), (H, W, 1) or (H, W, 3) uint8, got {crop.shape} {crop.dtype}.")
    if crop.shape[:2] == (CROP_SIDE, CROP_SIDE) and crop.shape[2:] != (3,):
        return crop.reshape(CROP_SIDE, CROP_SIDE)
    import cv2

    left, top, side = middle_square(crop.shape[1], crop.shape[0])
    square = crop[top : top + side, left : left + side]
    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY) if crop.shape[2:] == (3,) else square.reshape(side, side)
    interpolation = cv2.INTER_AREA if side > CROP_SIDE else cv2.INTER_LINEAR
    return cv2.resize(gray, (CROP_SIDE, CROP_SIDE), interpolation=interpolation)


def _neighborhood(image: np.ndarray, center: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of an image around a point, and the `(x, y)` of its top left corner.

    OpenCV cannot warp images with a side of more than 32,767 pixels. For a point outside the image, this is the nearest
    part of the border.
    """
    size = np.array([image.shape[1], image.shape[0]])
    start = np.clip(np.floor(center - reach), 0, size - 1).astype(int)
    end = np.clip(np.ceil(center + reach) + 1, start + 1, size).astype(int)
    return image[start[1] : end[1], start[0] : end[0]], start


def _tilt(detection: Detection) -> float:
    """Return the angle of the line from the right eye to the left eye, in degrees, positive if it falls."""
    if not detection.landmarks:
        return 0.0
    (x0, y0), (x1, y1) = detection.landmarks["right_eye"], detection.landmarks["left_eye"]
    return math.degrees(math.atan2(y1 - y0, x1 - x0))
