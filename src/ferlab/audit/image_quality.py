"""What pixels alone tell: brightness, contrast, sharpness, and pictures that are no photographs."""

from typing import Any

import cv2
import numpy as np

from ferlab.data import Dataset, Split

BLANK = 5.0  # gray levels: standard deviation below which a picture shows nothing
ONE_GRAY = 0.4  # share of pixels of a single gray level, from which a picture is a drawing, a text or a placeholder
PLAIN_ROWS = 0.25  # share of rows without any change, from which it is one, or was cut short
PLAIN = 2  # gray levels from the darkest to the brightest pixel of such a row

MEASURES = ("brightness", "contrast", "sharpness")


def measure(images: np.ndarray) -> dict[str, np.ndarray]:
    """Measures each picture.

    Args:
        images: `(N, H, W)` uint8.

    Returns:
        Arrays `(N,)` float64: `brightness`, the mean gray 0..255; `contrast`, the standard deviation of the grays;
        `sharpness`, the variance of the Laplacian (https://doi.org/10.1109/ICPR.2000.903548); `one_gray`, the share of
        the most frequent gray level, 0..1; `plain_rows`, the share of rows without change, 0..1.
    """
    rows = []
    for image in images:
        mean, deviation = cv2.meanStdDev(image)
        sharpness = cv2.meanStdDev(cv2.Laplacian(image, cv2.CV_32F))[1][0, 0] ** 2
        most = cv2.calcHist([image], [0], None, [256], [0, 256]).max() / image.size
        rows.append((mean[0, 0], deviation[0, 0], sharpness, most))
    table = np.array(rows, np.float64).reshape(-1, 4)
    spread = images.max(axis=2) - images.min(axis=2) if len(images) else np.zeros((0, 1), np.uint8)  # (N, H)
    return {
        **dict(zip((*MEASURES, "one_gray"), table.T, strict=True)),
        "plain_rows": (spread <= PLAIN).mean(axis=1),
    }


def blank(measures: dict[str, np.ndarray]) -> np.ndarray:
    """Which pictures show nothing at all: `(N,)` bool."""
    return measures["contrast"] < BLANK


def no_photograph(measures: dict[str, np.ndarray]) -> np.ndarray:
    """Which pictures look like drawings, texts or placeholders, or cut short, and are not blank: `(N,)` bool."""
    plain = (measures["one_gray"] > ONE_GRAY) | (measures["plain_rows"] > PLAIN_ROWS)
    return plain & ~blank(measures)


def describe_classes(dataset: Dataset, measures: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """By split and class: number of `images`, and the mean of each measure (null where there is no image)."""
    return {
        split.label: {
            name: _describe((dataset.splits == split) & (dataset.labels == label), measures)
            for label, name in enumerate(dataset.class_names)
        }
        for split in Split
        if dataset.has(split)
    }


def _describe(mask: np.ndarray, measures: dict[str, np.ndarray]) -> dict[str, Any]:
    means = {name: float(measures[name][mask].mean()) if mask.any() else None for name in MEASURES}
    return {"images": int(mask.sum()), **means}
