"""Decode images, detect faces and crop them. Nothing here imports Keras."""

from ferlab.images.crop import crop_face, resize_crop
from ferlab.images.decode import DecodedImage, read_image
from ferlab.images.detectors import Detection, Detector, open_detector

__all__ = ["DecodedImage", "Detection", "Detector", "crop_face", "open_detector", "read_image", "resize_crop"]
