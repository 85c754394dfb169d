"""Finding the face in a photograph, with a detector that comes with OpenCV."""

from functools import cache

import cv2
import cv2.data
import numpy as np

SEARCH_SIZE = 640  # pixels; larger pictures are searched in a copy with this longer side, in a fraction of the time
MARGIN = 0.1  # of the detector's box, on each side: the box alone cuts off chins
MIN_NEIGHBOURS = 5  # overlapping hits that make a face; fewer find faces in clothes and flowers

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom lie outside


def largest_face(image: np.ndarray) -> Box | None:
    """Finds the largest frontal face of a picture.

    The detector is Viola and Jones's cascade (https://doi.org/10.1109/CVPR.2001.990517), as trained for OpenCV.

    Args:
        image: `(H, W)` uint8, grey.

    Returns:
        A square with a margin about the face, clipped to the picture, or None where no face is found.
    """
    scale = min(1.0, SEARCH_SIZE / max(image.shape))
    height, width = (max(1, round(scale * length)) for length in image.shape)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else image
    found = _detector().detectMultiScale(small, scaleFactor=1.1, minNeighbors=MIN_NEIGHBOURS)
    if not len(found):
        return None
    left, top, side, _ = (value / scale for value in max(found, key=lambda box: box[2]))
    return _with_margin(left, top, side, image.shape)


def _with_margin(left: float, top: float, side: float, shape: tuple[int, ...]) -> Box:
    margin = MARGIN * side
    height, width = shape
    return (
        max(0, round(left - margin)),
        max(0, round(top - margin)),
        min(width, round(left + side + margin)),
        min(height, round(top + side + margin)),
    )


@cache
def _detector() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
