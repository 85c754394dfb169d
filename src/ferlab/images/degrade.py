"""What happens to an image between the camera and the network: blur, compression and low resolution."""

import cv2
import numpy as np


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an image `(H, W)` uint8 with a Gaussian of a standard deviation in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Save an image `(H, W)` uint8 as JPEG with a quality of 1 to 100, and read it again."""
    content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE))


def downsample(image: np.ndarray, side: int) -> np.ndarray:
    """Reduce an image `(H, W)` uint8 to a side in pixels, and enlarge it again."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
