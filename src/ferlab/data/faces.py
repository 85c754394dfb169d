"""Convert image files to the input of a model, with the decoder, the detectors and the crop of prediction."""

import hashlib
import io
from dataclasses import dataclass

import numpy as np

from ferlab.images.crop import CROP_MARGIN, crop_face, resize_crop
from ferlab.images.decode import decode_file
from ferlab.images.detection import Detector
from ferlab.images.detectors import open_detector
from ferlab.images.find import find_faces
from ferlab.images.yunet import YuNet, yunet_file

FACES_NOTE = "faces: "  # start of the note that records cropped faces
DETECTOR_NAMES = {"yunet": "YuNet", "haar": "OpenCV's Haar cascade"}


@dataclass(frozen=True, kw_only=True)
class Cropper:
    """Crops the largest face in an image, or its middle square.

    Args:
        detector: the face detector; `none` for the middle square.
    """

    detector: Detector

    @classmethod
    def open(cls, *, faces: bool) -> "Cropper":
        """Return the cropper for the default detector of prediction if `faces` is true, else for the middle square.

        Raises:
            DetectorError: if the detector is not available.
        """
        return cls(detector=open_detector("auto" if faces else "none"))

    @property
    def key(self) -> str:
        """What the crops depend on: the name of the detector, and the SHA-256 of its model file."""
        if not isinstance(self.detector, YuNet):
            return self.detector.name
        return f"{self.detector.name} {hashlib.sha256(yunet_file().read_bytes()).hexdigest()}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the images, for the notes of a dataset."""
        if self.detector.whole_image:
            return ()
        name = DETECTOR_NAMES.get(self.detector.name, self.detector.name)
        return (f"{FACES_NOTE}the largest face in each image was cropped, found with {name}",)

    def crop(self, content: bytes) -> np.ndarray:
        """Return the face crop of an image file, `(48, 48)` uint8, gray.

        Raises:
            ImageError: with the reason, if the content cannot be decoded.
            ValueError: with the reason, if there is no face.
        """
        image, detections = find_faces(
            lambda side: decode_file(io.BytesIO(content), sufficient_side=side), self.detector
        )
        if not detections:
            raise ValueError("no face found")
        if self.detector.whole_image:
            return resize_crop(image.pixels)
        return crop_face(image.pixels, detections[0], CROP_MARGIN)
