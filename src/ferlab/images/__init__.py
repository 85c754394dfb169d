"""Decode images, detect faces and crop them. Nothing here imports Keras."""

from ferlab.images.crop import crop_face, resize_crop
from ferlab.images.decode import DecodedImage, read_image
from ferlab.images.detection import Detection, Detector
from ferlab.images.detectors import open_detector
from ferlab.images.sources import ImageSource, as_array, open_source

__all__ = [
    "DecodedImage",
    "Detection",
    "Detector",
    "ImageSource",
    "as_array",
    "crop_face",
    "open_detector",
    "open_source",
    "read_image",
    "resize_crop",
]
