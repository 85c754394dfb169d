"""Find the upright turn of detected faces that lie on their side or upside down.

YuNet detects such faces with a lower score, and reports landmarks as if they were upright. The score in a turned copy
of the face shows the right turn. The thresholds are measured by `benchmarks/turned_faces.py`.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ferlab.images.detection import Detection, resize

UPRIGHT_SCORE = 0.93  # no face that is not upright gets this score in an image
UPRIGHT_PATCH_SCORE = 0.89  # or this one in a patch
TURNED_SCORE = 0.7  # that a turned face must get in a patch
MARGIN = 0.03  # by which its score must exceed the one without a turn
TURNS = range(45, 360, 45)  # degrees, counterclockwise
PATCH_SIDE = 128  # pixels
PATCH_FACES = 2.0  # side of a patch, in sides of the face in its middle
MAX_OFFSET = 0.2  # of a face from the middle of its patch, in sides of the patch


def is_upright(face: Detection) -> bool:
    """Return whether the score of a face shows that it is upright."""
    return _score(face) >= UPRIGHT_SCORE


def turned_upright(image: np.ndarray, face: Detection, detect: Callable[[np.ndarray], list[Detection]]) -> Detection:
    """Detect a face again in turned copies, to find out how it is turned.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        face: a face that is not `is_upright`, in pixels of `image`.
        detect: the detector; it is called once for most upright faces with a low score, and 8 times for other faces.

    Returns:
        The face with the box, score and landmarks of the turned copy in which it is upright, in pixels of `image`; or
        `face` itself, if it is upright.
    """
    patches = Patches(image, face)
    unturned = _score(patches.detect(0, detect))
    if unturned >= UPRIGHT_PATCH_SCORE:
        return face
    turned = max((patches.detect(turn, detect) for turn in TURNS), key=_score)
    return turned if turned and _score(turned) >= max(TURNED_SCORE, unturned + MARGIN) else face


def _score(face: Detection | None) -> float:
    return (face and face.score) or 0.0


class Patches:
    """Turned copies of a face and its surroundings, with the face in the middle.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        face: the face, in pixels of `image`.
    """

    def __init__(self, image: np.ndarray, face: Detection) -> None:
        x, y = face.center
        side = max(1.0, PATCH_FACES * math.sqrt(face.box[2] * face.box[3]))
        left, top = (max(0, math.floor(value - side)) for value in (x, y))
        right, bottom = math.ceil(x + side), math.ceil(y + side)
        factor = min(1.0, PATCH_SIDE / side)
        self._surroundings = resize(image[top:bottom, left:right], factor)
        self._factor, self._corner = factor, (left, top)
        self._center = (factor * (x - left), factor * (y - top))
        self._scale = PATCH_SIDE / (factor * side)

    def detect(self, turn: float, detect: Callable[[np.ndarray], list[Detection]]) -> Detection | None:
        """Detect the face in a copy that is turned counterclockwise, in degrees. Return it in pixels of the image."""
        import cv2

        matrix = cv2.getRotationMatrix2D(self._center, turn, self._scale)  # from the surroundings to the patch
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + PATCH_SIDE / 2 - self._center])
        size, gray = (PATCH_SIDE, PATCH_SIDE), (128, 128, 128)
        patch = cv2.warpAffine(self._surroundings, _between_pixel_centers(matrix), size, borderValue=gray)
        middle = [found for found in detect(patch) if _offset(found) <= MAX_OFFSET * PATCH_SIDE]
        if not middle:
            return None
        found = _transformed(max(middle, key=_score), cv2.invertAffineTransform(matrix))
        return found.scaled(1 / self._factor).shifted(*self._corner)


def _between_pixel_centers(matrix: np.ndarray) -> np.ndarray:
    """Convert a matrix to OpenCV's coordinates, in which the centers of pixels are integers."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    return np.column_stack([linear, shift + linear @ np.array([0.5, 0.5]) - 0.5])


def _offset(found: Detection) -> float:
    return max(abs(value - PATCH_SIDE / 2) for value in found.center)


def _transformed(face: Detection, matrix: np.ndarray) -> Detection:
    """Rotate and scale a face. The sides of its box stay level: a quarter turn swaps width and height."""

    def moved(x: float, y: float) -> tuple[float, float]:
        return tuple((matrix[:, :2] @ (x, y) + matrix[:, 2]).tolist())

    (a, b), (width, height) = matrix[0, :2], face.box[2:]
    width, height = a * a * width + b * b * height, a * a * height + b * b * width
    scale = math.hypot(a, b)
    width, height = width / scale, height / scale
    x, y = moved(*face.center)
    landmarks = face.landmarks and {name: moved(*point) for name, point in face.landmarks.items()}
    return replace(face, box=(x - width / 2, y - height / 2, width, height), landmarks=landmarks)
