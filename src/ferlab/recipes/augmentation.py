"""Random changes to batches of training images: uint8 in, uint8 out, by OpenCV."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far images are changed at random. Everything off is the default.

    Args:
        flip: mirror half of the images.
        rotation: largest turn to either side, in degrees.
        shift: largest shift along each axis, as a share of the side.
        zoom: scale between 1 - zoom and 1 + zoom, as a factor.
        independent_zoom: draw the two axes' scales separately, as `ImageDataGenerator` does.
        contrast: largest relative change of contrast; the brightness changes by half as much of the full range.
        erase: share of images in which a rectangle of 2 to 20 % of the area is filled with one random gray
            (random erasing, https://arxiv.org/abs/1708.04896).
    """

    flip: bool = False
    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    independent_zoom: bool = False
    contrast: float = 0.0
    erase: float = 0.0

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.flip or self.rotation or self.shift or self.zoom or self.contrast or self.erase)


def augment(images: np.ndarray, augmentation: Augmentation, generator: np.random.Generator) -> np.ndarray:
    """Changes each image at random; what moves in from outside repeats the border.

    Args:
        images: `(N, H, W)` uint8, 0..255.
        augmentation: how far.
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
    if augmentation.contrast:
        changed = _contrast(changed, augmentation.contrast, generator)
    if augmentation.erase:
        _erase(changed, augmentation.erase, generator)
    return changed


def _warp(images: np.ndarray, augmentation: Augmentation, generator: np.random.Generator) -> np.ndarray:
    num_images, height, width = images.shape
    matrices = _affine_matrices(num_images, height, width, augmentation, generator)
    warped = np.empty_like(images)
    for image, matrix, target in zip(images, matrices, warped, strict=True):
        cv2.warpAffine(
            image, matrix, (width, height), dst=target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return warped


def _affine_matrices(
    num_images: int, height: int, width: int, augmentation: Augmentation, generator: np.random.Generator
) -> np.ndarray:
    """Maps from source to target, about the center of the image. Returns `(N, 2, 3)` float64."""

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
