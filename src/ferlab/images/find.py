"""Decode an image and detect its faces: the one way from a file to faces, for training and prediction."""

import math
from collections.abc import Callable

from ferlab.images.crop import CROP_SIDE
from ferlab.images.decode import DecodedImage
from ferlab.images.detection import SEARCH_SIZE, Detection, Detector


def find_faces(
    read: Callable[[int], DecodedImage], detector: Detector, search_size: int = SEARCH_SIZE
) -> tuple[DecodedImage, list[Detection]]:
    """Decode an image and detect its faces.

    A large JPEG is decoded at a size that suffices for the search, and again if a face is smaller than a crop.

    Args:
        read: decodes the image with at least the given longer side in pixels, if the original is as large.
        detector: the face detector.
        search_size: see `Detector.detect`.

    Returns:
        The decoded image, and the faces in its pixels, largest first.
    """
    image = read(search_size)
    detections = detector.detect(image.pixels, search_size=search_size)
    smallest = min((min(detection.box[2:]) for detection in detections), default=CROP_SIDE)
    if smallest >= CROP_SIDE or image.scale == 1:
        return image, detections
    larger = read(math.ceil(CROP_SIDE / smallest * max(image.pixels.shape[:2])))
    return larger, [detection.scaled(larger.scale / image.scale) for detection in detections]
