"""Random changes to batches of training images, from uint8 to uint8, with OpenCV."""

from dataclasses import dataclass

import cv2
import numpy as np

from ferlab.images import degrade
from ferlab.images.warp import warp_images
from ferlab.recipes.validation import Fraction, NonNegative

# How the crops of YuNet differ from FER2013's framing, measured by benchmarks/framing.py: median and half the range
# between the percentiles 16 and 84, of the shifts to the right and down in sides and of the scale in octaves.
DETECTOR_FRAMING = ((0.0, 0.05), (0.01, 0.05), (-0.1, 0.23))
MAX_BLUR = 1.5  # pixels
MIN_SIDE, MAX_SIDE = 16, 40  # pixels, of a face before it is enlarged to 48
MIN_QUALITY, MAX_QUALITY = 20, 80  # of JPEG


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strengths of the random changes to training images. By default, everything is off.

    Args:
        flip: mirror half of the images horizontally.
        rotation: largest rotation in either direction, in degrees.
        shift: largest shift along each axis, as a fraction of the side length.
        zoom: images are scaled by a factor between 1 - zoom and 1 + zoom.
        independent_zoom: choose the scales of the two axes independently, as Keras's `ImageDataGenerator` does.
        contrast: largest relative change of contrast; brightness changes by up to half of this fraction of the full
            range.
        erase: fraction of images in which a rectangle of 2 to 20 % of the area is filled with a random gray level
            (random erasing, https://arxiv.org/abs/1708.04896).
        detected: fraction of images that are framed as a face detector would crop them, before the other changes.
        exposure: largest change of exposure in octaves: the exponent that the gray levels are raised to is between
            2^-exposure and 2^exposure.
        degraded: fraction of images that are blurred, saved as JPEG or reduced in resolution, one of the three each.
    """

    flip: bool = False
    rotation: NonNegative = 0.0
    shift: Fraction = 0.0
    zoom: Fraction = 0.0
    independent_zoom: bool = False
    contrast: Fraction = 0.0
    erase: Fraction = 0.0
    detected: Fraction = 0.0
    exposure: NonNegative = 0.0
    degraded: Fraction = 0.0

    @property
    def active(self) -> bool:
        """Return whether any change is enabled."""
        return self != Augmentation(independent_zoom=self.independent_zoom)


def augment(images: np.ndarray, augmentation: Augmentation, generator: np.random.Generator) -> np.ndarray:
    """Change each image at random. Areas from outside the image repeat its border.

    Args:
        images: `(N, H, W)` uint8, 0..255.
        augmentation: strengths of the changes.
        generator: the only source of randomness: the same state gives the same images.

    Returns:
        New images `(N, H, W)` uint8.

    Example:
        >>> images = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
        >>> augment(images, Augmentation(flip=True), np.random.default_rng(0))[0, 0]
        array([3, 2, 1, 0], dtype=uint8)
    """
    if not augmentation.active:
        return images.copy()
    changed = _warp(images, augmentation, generator)
    if augmentation.exposure:
        changed = _expose(changed, augmentation.exposure, generator)
    if augmentation.degraded:
        changed = _degrade(changed, augmentation.degraded, generator)
    if augmentation.contrast:
        changed = _contrast(changed, augmentation.contrast, generator)
    if augmentation.erase:
        _erase(changed, augmentation.erase, generator)
    return changed


def _warp(images: np.ndarray, augmentation: Augmentation, generator: np.random.Generator) -> np.ndarray:
    num_images, height, width = images.shape
    matrices = _affine_matrices(num_images, height, width, augmentation, generator)
    if augmentation.detected:
        matrices = _after_detection(matrices, height, width, augmentation.detected, generator)
    return warp_images(images, matrices)


def _after_detection(
    matrices: np.ndarray, height: int, width: int, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Join maps `(N, 2, 3)` with the crop of a detector, which comes first, for a share of the images."""
    right, down, octaves = (generator.normal(*law, len(matrices)) for law in DETECTOR_FRAMING)
    chosen = generator.random(len(matrices)) < share
    joined = matrices.copy()
    for index in np.flatnonzero(chosen):
        center = (width - 1) / 2 + right[index] * width, (height - 1) / 2 + down[index] * height
        crop = cv2.getRotationMatrix2D(center, 0, 2.0 ** -octaves[index])  # a large crop shows a small face
        crop[:, 2] += np.array([(width - 1) / 2, (height - 1) / 2]) - center
        joined[index] = matrices[index] @ np.vstack([crop, [0, 0, 1]])
    return joined


def _affine_matrices(
    num_images: int, height: int, width: int, augmentation: Augmentation, generator: np.random.Generator
) -> np.ndarray:
    """Choose random maps from source to target coordinates, about the image center. Returns `(N, 2, 3)` float64."""

    def uniform(limit: float) -> np.ndarray:
        return generator.uniform(-limit, limit, num_images)

    angles = np.deg2rad(uniform(augmentation.rotation))
    scale_x = 1 + uniform(augmentation.zoom)
    scale_y = 1 + uniform(augmentation.zoom) if augmentation.independent_zoom else scale_x
    flips = np.where(augmentation.flip & (generator.random(num_images) < 0.5), -1.0, 1.0)
    cosine, sine = np.cos(angles), np.sin(angles)
    linear = np.empty((num_images, 2, 2))
    linear[:, 0, 0], linear[:, 0, 1] = cosine * scale_x * flips, -sine * scale_y
    linear[:, 1, 0], linear[:, 1, 1] = sine * scale_x * flips, cosine * scale_y
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    shifts = np.stack([uniform(augmentation.shift) * width, uniform(augmentation.shift) * height], axis=1)
    return np.concatenate([linear, (center + shifts - linear @ center)[:, :, None]], axis=2)


def _contrast(images: np.ndarray, limit: float, generator: np.random.Generator) -> np.ndarray:
    gains = 1 + generator.uniform(-limit, limit, (len(images), 1, 1)).astype(np.float32)
    offsets = generator.uniform(-limit / 2, limit / 2, (len(images), 1, 1)).astype(np.float32) * 255
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return np.clip((images - means) * gains + means + offsets, 0, 255).astype(np.uint8)


def _expose(images: np.ndarray, octaves: float, generator: np.random.Generator) -> np.ndarray:
    exponents = 2 ** generator.uniform(-octaves, octaves, len(images))
    levels = np.arange(256) / 255
    tables = np.rint(255 * levels ** exponents[:, None]).astype(np.uint8)  # (N, 256)
    return np.stack([table[image] for table, image in zip(tables, images, strict=True)])


def _degrade(images: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    changed = images.copy()
    kinds, strengths = generator.integers(0, 3, len(images)), generator.random(len(images))
    for index in np.flatnonzero(generator.random(len(images)) < share):
        image, strength = images[index], strengths[index]
        if kinds[index] == 0:
            changed[index] = degrade.blur(image, max(0.1, strength * MAX_BLUR))
        elif kinds[index] == 1:
            changed[index] = degrade.compress(image, int(MAX_QUALITY - strength * (MAX_QUALITY - MIN_QUALITY)))
        else:
            changed[index] = degrade.downsample(image, int(MAX_SIDE - strength * (MAX_SIDE - MIN_SIDE)))
    return changed


def _erase(images: np.ndarray, share: float, generator: np.random.Generator) -> None:
    num_images, height, width = images.shape
    chosen = np.flatnonzero(generator.random(num_images) < share)
    areas = generator.uniform(0.02, 0.2, num_images) * height * width
    ratios = np.exp(generator.uniform(np.log(0.5), np.log(2), num_images))  # height over width
    corners = generator.random((num_images, 2))
    grays = generator.integers(0, 256, (num_images,))
    for index in chosen:
        box_height = min(height, round(np.sqrt(areas[index] * ratios[index])))
        box_width = min(width, round(np.sqrt(areas[index] / ratios[index])))
        top = int(corners[index, 0] * (height - box_height + 1))
        left = int(corners[index, 1] * (width - box_width + 1))
        images[index, top : top + box_height, left : left + box_width] = grays[index]
