"""Build a small dataset with every kind of fault at a known index."""

import cv2
import numpy as np

from ferlab import Dataset, Split
from ferlab.emotions import EMOTIONS

SIZE = 120  # number of images without a fault


def textured(generator: np.random.Generator, number: int) -> np.ndarray:
    """Build distinct images of large and small random blobs: `(number, 48, 48)` uint8."""
    noise = generator.normal(size=(number, 48, 48)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 2) + 4 * cv2.GaussianBlur(image, (0, 0), 6) for image in noise])
    low, high = smooth.min(axis=(1, 2), keepdims=True), smooth.max(axis=(1, 2), keepdims=True)
    return (255 * (smooth - low) / (high - low)).astype(np.uint8)


def retouched(image: np.ndarray) -> np.ndarray:
    """Shift an image by one pixel, brighten it, and draw a mark on it."""
    moved = np.roll(image, (1, 1), axis=(0, 1))
    marked = cv2.putText(moved.copy(), "'", (12, 44), cv2.FONT_HERSHEY_PLAIN, 0.6, 255)
    return np.clip(marked.astype(int) + 10, 0, 255).astype(np.uint8)


def dataset(
    images: np.ndarray, labels: list[int] | np.ndarray, splits: list[int] | np.ndarray, **others: np.ndarray
) -> Dataset:
    """Build a dataset with the classes of FER2013 and the names `image 0` and so on."""
    return Dataset(
        images=images,
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.uint8),
        names=np.array([f"image {index}" for index in range(len(images))]),
        class_names=EMOTIONS,
        source="planted",
        **others,
    )


def planted() -> Dataset:
    """Build a dataset with faults from image 120 on. The images before have no faults and cycle through the splits.

    120 equals 0 (both train); 121, validation, equals 3 (train); 122, test, equals 4 (validation), with another label;
    123 mirrors 6; 124 is 9 retouched; 125, test, is 12 (train) mirrored and retouched; 126 is uniformly gray; 127 is a
    white page with a word.
    """
    images = textured(np.random.default_rng(0), SIZE)
    labels, splits = list(np.arange(SIZE) % 7), list(np.arange(SIZE) % 3)
    page = cv2.putText(np.full((48, 48), 255, np.uint8), "no", (12, 24), cv2.FONT_HERSHEY_PLAIN, 1, 0)
    faults = [
        (images[0], labels[0], Split.TRAIN),
        (images[3], labels[3], Split.VALIDATION),
        (images[4], labels[4] + 1, Split.TEST),
        (images[6][:, ::-1], labels[6], Split.TRAIN),
        (retouched(images[9]), labels[9], Split.TRAIN),
        (retouched(images[12])[:, ::-1], labels[12], Split.TEST),
        (np.full((48, 48), 128, np.uint8), 0, Split.TRAIN),
        (page, 0, Split.TRAIN),
    ]
    return dataset(
        np.concatenate([images, np.stack([image for image, _, _ in faults])]),
        [*labels, *(label for _, label, _ in faults)],
        [*splits, *(split for _, _, split in faults)],
    )
