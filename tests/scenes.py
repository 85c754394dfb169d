"""Images with synthetic faces at known positions."""

from pathlib import Path

import cv2
import numpy as np

from ferlab import Dataset

SHARED = Path(__file__).parents[2] / "shared"
YUNET = SHARED / "models" / "face_detection_yunet_2026may.onnx"
MEDIA = SHARED / "media"


def scene(demo: Dataset, *faces: tuple[int, int, int], size: tuple[int, int] = (400, 600)) -> np.ndarray:
    """Paste demo faces into a gray image.

    Args:
        demo: the demo data.
        faces: side, left edge and top edge of each face, in pixels.
        size: height and width of the image.

    Returns:
        `(H, W)` uint8.
    """
    image = np.full(size, 128, np.uint8)
    for number, (side, left, top) in enumerate(faces):
        face = cv2.resize(demo.images[number], (side, side), interpolation=cv2.INTER_CUBIC)
        image[top : top + side, left : left + side] = face
    return image


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    """Encode an image, `(H, W)` or RGB `(H, W, 3)` uint8, in the file format of a suffix."""
    return cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()
