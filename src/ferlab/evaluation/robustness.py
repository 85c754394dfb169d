"""Robustness: accuracy under ten image corruptions at five strengths each.

The scheme follows Hendrycks and Dietterich (https://arxiv.org/abs/1903.12261). Their corruptions are meant for
photographs of objects; the ones here model what happens to a face between the camera and the network's 48x48 gray
pixels: the lens, the sensor, the file, and the face detector.

A corruption is a function of images `(N, 48, 48)` uint8, a strength in its own unit, and a random generator. It returns
new images of the same shape and dtype. To add one, write the function and add it to `CORRUPTIONS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.demo import render_random_face
from ferlab.emotions import Target
from ferlab.evaluation.metrics import accuracy
from ferlab.evaluation.trained_model import Classifier, open_model
from ferlab.images import degrade
from ferlab.images.contact_sheet import Row, write_contact_sheet
from ferlab.images.warp import warp_images
from ferlab.progress import bar
from ferlab.protocol import check_same_split

Corrupt = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

BATCH_SIZE = 256  # images that are corrupted at a time
MID_GRAY = 128
MAGNIFICATION = 2  # of the faces on the contact sheet


def blur(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """An out-of-focus lens: Gaussian blur. The strength is its standard deviation in pixels."""
    return _each(images, lambda image: degrade.blur(image, strength))


def noise(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A sensor in low light: Gaussian noise. The strength is its standard deviation in gray levels."""
    return _rounded(images + strength * generator.standard_normal(images.shape, np.float32))


def jpeg(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """JPEG compression. The strength is the quality, 100..1: lower is stronger."""
    return _each(images, lambda image: degrade.compress(image, int(strength)))


def low_resolution(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A distant face: downsampled and enlarged again. The strength is the side in pixels: fewer is stronger."""
    return _each(images, lambda image: degrade.downsample(image, int(strength)))


def darkness(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """An underexposed image. The strength is the share of the light that is lost, 0..1."""
    return _rounded(images * np.float32(1 - strength))


def contrast(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Haze or flat light. The strength is the share of the contrast that is lost, 0..1."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return _rounded(means + np.float32(1 - strength) * (images - means))


def occlusion(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A hand or a cup in front of the face: a gray square at a random place covers a share of the image, 0..1.

    As in Cutout (https://arxiv.org/abs/1708.04552).
    """
    covered = images.copy()
    height, width = images.shape[1:]
    side = round((strength * height * width) ** 0.5)
    for image, (down, right) in zip(covered, generator.random((len(images), 2)), strict=True):
        top, left = round(down * (height - side)), round(right * (width - side))
        image[top : top + side, left : left + side] = MID_GRAY
    return covered


def rotation(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A tilted head: rotation by a number of degrees, to a random side."""
    return warp_images(
        images, [_about_the_center(images, side * strength, 1) for side in _random_sides(images, generator)]
    )


def crop_shift(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """An off-center face crop: a shift by a share of the side, 0..1, in a random direction."""
    angles = 2 * np.pi * generator.random(len(images))
    shifts = strength * images.shape[2] * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (N, 2)
    return warp_images(images, [np.array([[1, 0, x], [0, 1, y]]) for x, y in shifts])


def crop_scale(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A face crop that is too tight or too wide, at random, by a factor of 1 + strength."""
    sides = _random_sides(images, generator)
    return warp_images(images, [_about_the_center(images, 0, (1 + strength) ** side) for side in sides])


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """A corruption and its strengths.

    Args:
        apply: the function that corrupts images.
        unit: unit of the strength.
        strengths: five strengths, from mild to strong.

    Example:
        >>> images = np.full((1, 48, 48), 100, np.uint8)
        >>> int(CORRUPTIONS["darkness"].apply(images, 0.7, np.random.default_rng(0))[0, 0, 0])
        30
    """

    apply: Corrupt
    unit: str
    strengths: tuple[float, ...]


CORRUPTIONS = {
    "blur": Corruption(apply=blur, unit="pixels", strengths=(0.5, 1, 1.5, 2, 3)),
    "noise": Corruption(apply=noise, unit="gray levels", strengths=(5, 10, 20, 30, 40)),
    "jpeg": Corruption(apply=jpeg, unit="quality", strengths=(70, 50, 30, 15, 5)),
    "low_resolution": Corruption(apply=low_resolution, unit="pixels per side", strengths=(36, 24, 16, 12, 8)),
    "darkness": Corruption(apply=darkness, unit="share of light lost", strengths=(0.3, 0.5, 0.7, 0.8, 0.9)),
    "contrast": Corruption(apply=contrast, unit="share of contrast lost", strengths=(0.3, 0.5, 0.7, 0.8, 0.9)),
    "occlusion": Corruption(apply=occlusion, unit="share of area covered", strengths=(0.05, 0.1, 0.2, 0.3, 0.4)),
    "rotation": Corruption(apply=rotation, unit="degrees", strengths=(5, 10, 20, 30, 45)),
    "crop_shift": Corruption(apply=crop_shift, unit="share of the side", strengths=(0.05, 0.1, 0.15, 0.2, 0.3)),
    "crop_scale": Corruption(apply=crop_scale, unit="share of the side", strengths=(0.05, 0.1, 0.2, 0.3, 0.4)),
}


@dataclass(frozen=True, kw_only=True)
class CorruptionAccuracies:
    """Accuracy, 0..1, under one corruption at each of its strengths."""

    unit: str
    strengths: tuple[float, ...]
    accuracies: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """The result of `robustness`.

    Args:
        model: the model as given.
        split: the split that was scored.
        target: what the labels are, for images of FER2013; null for other images.
        learned: target that the model learned; null if unknown, or if it learned from other images.
        selected_on: splits that the model was selected on; null if unknown.
        selected_here: whether one of those is the split that was scored; null if unknown.
        images: number of images.
        fingerprint: fingerprint of the split.
        seed: seed of the random corruptions.
        clean_accuracy: accuracy on the original images, 0..1.
        corruptions: accuracies under each corruption, by name.
        score: mean accuracy over all corruptions and strengths, divided by the clean accuracy; null if that is 0.
    """

    model: str
    split: str
    target: Target | None = None
    learned: Target | None = None
    selected_on: tuple[str, ...] | None
    selected_here: bool | None = None
    images: int
    fingerprint: str
    seed: int
    clean_accuracy: float
    corruptions: dict[str, CorruptionAccuracies]
    score: float | None


def robustness(
    model: str | Path,
    dataset: Dataset,
    split: str | Split = Split.VALIDATION,
    *,
    seed: int = 0,
    quiet: bool = False,
) -> Robustness:
    """Score a model on clean images and under each corruption at each strength.

    All strengths of a corruption use the same random numbers, so that they differ only in strength.

    Args:
        model: a run folder, a `.keras` file, an artifact (`.onnx`, `.tflite`), or the name of a network in the package.
        dataset: a dataset with images in that split.
        split: `train`, `validation` or `test`.
        seed: seed of the random numbers; the same seed gives the same result.
        quiet: show no progress bar.

    Raises:
        DataError: if the split is empty, or the random split of `dataset` differs from the one that the run was trained
            with.
        FerlabError: if the file is not a model, or has different classes.
        RunError: if the folder does not contain a finished run.
    """
    split = Split.from_label(split) if isinstance(split, str) else split
    part = dataset.require(split)
    opened = open_model(model)
    opened.require_classes(part.class_names, part.source)
    if opened.run:
        check_same_split(opened.run.path, opened.run.dataset(), dataset, split)
    measurements = 1 + sum(len(corruption.strengths) for corruption in CORRUPTIONS.values())
    with bar("robustness", measurements * len(part), quiet) as advance:
        clean = _accuracy(opened, part, np.copy, advance)
        corruptions = {name: _corrupted(opened, part, one, seed, advance) for name, one in CORRUPTIONS.items()}
    mean = float(np.mean([row.accuracies for row in corruptions.values()]))
    return Robustness(
        model=str(model),
        split=split.label,
        target=part.target,
        learned=opened.provenance.target,
        selected_on=opened.provenance.selected_on,
        selected_here=opened.provenance.was_selected_on(split.label, part.fingerprints[split.label]),
        images=len(part),
        fingerprint=part.fingerprints[split.label],
        seed=seed,
        clean_accuracy=clean,
        corruptions=corruptions,
        score=mean / clean if clean else None,
    )


def _corrupted(
    classify: Classifier, part: Dataset, corruption: Corruption, seed: int, advance: Callable[[int], None]
) -> CorruptionAccuracies:
    return CorruptionAccuracies(
        unit=corruption.unit,
        strengths=corruption.strengths,
        accuracies=tuple(
            _accuracy(classify, part, _with(corruption, strength, seed), advance) for strength in corruption.strengths
        ),
    )


def _with(corruption: Corruption, strength: float, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Bind a corruption to a strength and a random generator of its own."""
    generator = np.random.default_rng(seed)
    return lambda images: corruption.apply(images, strength, generator)


def _accuracy(
    classify: Classifier, part: Dataset, change: Callable[[np.ndarray], np.ndarray], advance: Callable[[int], None]
) -> float:
    """Compute the accuracy on corrupted images, one batch at a time to save memory."""
    probabilities = []
    for start in range(0, len(part), BATCH_SIZE):
        probabilities.append(classify(change(part.images[start : start + BATCH_SIZE])))
        advance(len(probabilities[-1]))
    return accuracy(part.labels, np.concatenate(probabilities))


def write_sheet(path: Path, seed: int = 0) -> None:
    """Write a PNG of one synthetic face under every corruption: clean, then at the five strengths.

    Raises:
        OutputError: if the file cannot be written.
    """
    face = render_random_face("happy", np.random.default_rng(seed))
    rows = [_sheet_row(name, corruption, face, seed) for name, corruption in CORRUPTIONS.items()]
    write_contact_sheet(path, rows, scale=MAGNIFICATION)


def _sheet_row(name: str, corruption: Corruption, face: np.ndarray, seed: int) -> Row:
    """Apply a corruption to a face `(48, 48)` at all strengths."""
    corrupted = [_with(corruption, strength, seed)(face[None])[0] for strength in corruption.strengths]
    return Row(
        label=f"{name.replace('_', ' ')}\n{corruption.unit}",
        images=[face, *corrupted],
        captions=["clean", *(f"{strength:g}" for strength in corruption.strengths)],
    )


def _each(images: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.array([change(image) for image in images], np.uint8).reshape(images.shape)


def _rounded(images: np.ndarray) -> np.ndarray:
    return np.rint(images).clip(0, 255).astype(np.uint8)


def _random_sides(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Choose -1 or 1 for each image: `(N,)`."""
    return np.where(generator.random(len(images)) < 0.5, -1.0, 1.0)


def _about_the_center(images: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    """Make the matrix `(2, 3)` of a rotation and a scaling about the center."""
    height, width = images.shape[1:]
    return cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
