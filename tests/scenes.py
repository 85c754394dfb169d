"""Pictures with synthetic faces at known places."""

from pathlib import Path

import cv2
import numpy as np

from ferlab import Dataset

SHARED = Path(__file__).parents[2] / "shared"
YUNET = SHARED / "models" / "face_detection_yunet_2026may.onnx"
MEDIA = SHARED / "media"


def scene(demo: Dataset, *faces: tuple[int, int, int], size: tuple[int, int] = (400, 600)) -> np.ndarray:
    """A gray picture with demo faces, each of a side and at a left and top edge in pixels."""
    picture = np.full(size, 128, np.uint8)
    for number, (side, left, top) in enumerate(faces):
        face = cv2.resize(demo.images[number], (side, side), interpolation=cv2.INTER_CUBIC)
        picture[top : top + side, left : left + side] = face
    return picture


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    """The file of a picture, `(H, W)` or RGB `(H, W, 3)`."""
    return cv2.imencode(suffix, picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes()
