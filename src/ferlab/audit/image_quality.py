"""Image statistics: brightness, contrast, sharpness, and images that are blank or not photos."""

from dataclasses import dataclass

import cv2
import numpy as np

from ferlab.data import Dataset, Split

BLANK = 5.0  # gray levels; images with a smaller standard deviation are blank
ONE_GRAY = 0.4  # share of pixels of one gray level above which an image is not a photo
PLAIN_ROWS = 0.25  # share of uniform rows above which an image is not a photo, or truncated
PLAIN = 2  # gray levels between the darkest and the brightest pixel of a uniform row


@dataclass(frozen=True, kw_only=True)
class ClassStatistics:
    """Number of images of a class, and their mean `ImageStatistics`; None without images."""

    images: int
    brightness: float | None
    contrast: float | None
    sharpness: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageStatistics:
    """Statistics of N images, each `(N,)` float64.

    Args:
        brightness: mean gray level, 0..255.
        contrast: standard deviation of the gray levels.
        sharpness: variance of the Laplacian (https://doi.org/10.1109/ICPR.2000.903548).
        one_gray: share of the most frequent gray level, 0..1.
        plain_rows: share of uniform rows, 0..1.
    """

    brightness: np.ndarray
    contrast: np.ndarray
    sharpness: np.ndarray
    one_gray: np.ndarray
    plain_rows: np.ndarray


def measure(images: np.ndarray) -> ImageStatistics:
    """Compute the statistics of each image.

    Args:
        images: grayscale images, `(N, H, W)` uint8.
    """
    rows = []
    for image in images:
        mean, deviation = cv2.meanStdDev(image)
        sharpness = cv2.meanStdDev(cv2.Laplacian(image, cv2.CV_32F))[1][0, 0] ** 2
        most = cv2.calcHist([image], [0], None, [256], [0, 256]).max() / image.size
        rows.append((mean[0, 0], deviation[0, 0], sharpness, most))
    table = np.array(rows, np.float64).reshape(-1, 4)
    spread = images.max(axis=2) - images.min(axis=2) if len(images) else np.zeros((0, 1), np.uint8)  # (N, H)
    brightness, contrast, sharpness, one_gray = table.T
    return ImageStatistics(
        brightness=brightness,
        contrast=contrast,
        sharpness=sharpness,
        one_gray=one_gray,
        plain_rows=(spread <= PLAIN).mean(axis=1),
    )


def blank(statistics: ImageStatistics) -> np.ndarray:
    """Return which images have almost no contrast: `(N,)` bool."""
    return statistics.contrast < BLANK


def not_a_photo(statistics: ImageStatistics) -> np.ndarray:
    """Return which images look like drawings, text or placeholders, or are truncated, but not blank: `(N,)` bool."""
    plain = (statistics.one_gray > ONE_GRAY) | (statistics.plain_rows > PLAIN_ROWS)
    return plain & ~blank(statistics)


def describe_classes(dataset: Dataset, statistics: ImageStatistics) -> dict[str, dict[str, ClassStatistics]]:
    """Compute the mean statistics by split and class."""
    return {
        split.label: {
            name: _describe((dataset.splits == split) & (dataset.labels == label), statistics)
            for label, name in enumerate(dataset.class_names)
        }
        for split in Split
        if dataset.has(split)
    }


def _describe(mask: np.ndarray, statistics: ImageStatistics) -> ClassStatistics:
    def mean(values: np.ndarray) -> float | None:
        return float(values[mask].mean()) if mask.any() else None

    return ClassStatistics(
        images=int(mask.sum()),
        brightness=mean(statistics.brightness),
        contrast=mean(statistics.contrast),
        sharpness=mean(statistics.sharpness),
    )
