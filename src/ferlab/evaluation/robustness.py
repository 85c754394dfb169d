"""What a model's accuracy becomes when the pictures get worse: ten corruptions in five strengths each.

The scheme is that of Hendrycks and Dietterich (https://arxiv.org/abs/1903.12261): a model is scored on corrupted copies
of pictures that it has not seen, in five strengths. Their corruptions are made for photographs of things; the ones here
are what happens to a face on its way from a camera, through a file and a face detector, to 48x48 gray pixels.

A corruption is a function of images `(N, 48, 48)` uint8, a strength in its own unit, and a generator, which returns new
images of the same form. To add one, write it and name it in `CORRUPTIONS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.demo import render_random_face
from ferlab.evaluation.evaluate import Classifier, load_classifier
from ferlab.evaluation.metrics import accuracy
from ferlab.images.contact_sheet import Row, write_contact_sheet
from ferlab.progress import bar
from ferlab.runs import SCHEMA

Corrupt = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

BATCH_SIZE = 256  # images that are changed at a time
MID_GRAY = 128
MAGNIFICATION = 2  # of the faces on the sheet


def blur(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A lens out of focus: a Gaussian of so many pixels' standard deviation."""
    return _each(images, lambda image: cv2.GaussianBlur(image, (0, 0), strength, borderType=cv2.BORDER_REPLICATE))


def noise(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A sensor in little light: Gaussian noise of so many gray values' standard deviation."""
    return _rounded(images + strength * generator.standard_normal(images.shape, np.float32))


def jpeg(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A picture saved as JPEG, of a quality from 100 down to 1: lower is stronger."""

    def saved(image: np.ndarray) -> np.ndarray:
        content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(strength)])[1]
        return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE))

    return _each(images, saved)


def low_resolution(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A face far away: only so many pixels a side, enlarged again. Fewer is stronger."""
    side = int(strength)

    def far_away(image: np.ndarray) -> np.ndarray:
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)

    return _each(images, far_away)


def darkness(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """An underexposed picture: that share of the light, 0..1, is taken away."""
    return _rounded(images * np.float32(1 - strength))


def contrast(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Haze or flat light: that share of every pixel's difference from the mean, 0..1, is taken away."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return _rounded(means + np.float32(1 - strength) * (images - means))


def occlusion(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A hand or a cup before the face: a gray square at a random place covers that share of the picture, 0..1.

    As in cutout (https://arxiv.org/abs/1708.04552). With the same draws a larger square covers the smaller one.
    """
    covered = images.copy()
    height, width = images.shape[1:]
    side = round((strength * height * width) ** 0.5)
    for image, (down, right) in zip(covered, generator.random((len(images), 2)), strict=True):
        top, left = round(down * (height - side)), round(right * (width - side))
        image[top : top + side, left : left + side] = MID_GRAY
    return covered


def rotation(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A head held askew: a turn by so many degrees, to a random side."""
    return _warped(images, [_about_the_center(images, side * strength, 1) for side in _random_sides(images, generator)])


def crop_shift(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A detector that misses the middle: a shift by that share of the side, 0..1, in a random direction."""
    angles = 2 * np.pi * generator.random(len(images))
    shifts = strength * images.shape[2] * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (N, 2)
    return _warped(images, [np.array([[1, 0, x], [0, 1, y]]) for x, y in shifts])


def crop_scale(images: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A crop too tight or too wide, at random: its side is too short or too long by a factor of 1 + strength."""
    sides = _random_sides(images, generator)
    return _warped(images, [_about_the_center(images, 0, (1 + strength) ** side) for side in sides])


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """A corruption, with what is measured of it.

    Args:
        apply: the function.
        unit: of its strength.
        strengths: five, from the mildest on.

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
    "noise": Corruption(apply=noise, unit="gray values", strengths=(5, 10, 20, 30, 40)),
    "jpeg": Corruption(apply=jpeg, unit="quality", strengths=(70, 50, 30, 15, 5)),
    "low_resolution": Corruption(apply=low_resolution, unit="pixels a side", strengths=(36, 24, 16, 12, 8)),
    "darkness": Corruption(apply=darkness, unit="share of the light", strengths=(0.3, 0.5, 0.7, 0.8, 0.9)),
    "contrast": Corruption(apply=contrast, unit="share of the contrast", strengths=(0.3, 0.5, 0.7, 0.8, 0.9)),
    "occlusion": Corruption(apply=occlusion, unit="share of the area", strengths=(0.05, 0.1, 0.2, 0.3, 0.4)),
    "rotation": Corruption(apply=rotation, unit="degrees", strengths=(5, 10, 20, 30, 45)),
    "crop_shift": Corruption(apply=crop_shift, unit="share of the side", strengths=(0.05, 0.1, 0.15, 0.2, 0.3)),
    "crop_scale": Corruption(apply=crop_scale, unit="share of the side", strengths=(0.05, 0.1, 0.2, 0.3, 0.4)),
}


def robustness(
    model: str | Path,
    dataset: Dataset,
    split: str | Split = Split.VALIDATION,
    *,
    seed: int = 0,
    quiet: bool = False,
) -> dict[str, Any]:
    """Scores a model on one split as it is, and under each corruption in each strength. Nothing is written.

    Every strength of a corruption gets the same random draws, so that strength is all that differs between them.

    Args:
        model: a run folder, a `.keras` file, an artifact (`.onnx`, `.tflite`), or `default` for the one in the package.
        dataset: with images in that split.
        split: `train`, `validation` or `test`.
        seed: of the draws: the same seed gives the same result.
        quiet: without a progress bar.

    Returns:
        `schema, model, split, images, fingerprint, seed, clean_accuracy, corruptions, score`. `corruptions` holds by
        name the `unit`, the five `strengths`, and the `accuracies`, 0..1, under each. `score` is the mean accuracy over
        all corruptions and strengths, divided by the clean accuracy: 1 where nothing is lost. It is null where the
        clean accuracy is 0.

    Raises:
        DataError: if the split is empty.
        FerlabError: if the file is no model, or was made for other classes.
        RunError: if the folder holds no finished run.
    """
    split = Split.from_label(split) if isinstance(split, str) else split
    part = dataset.require(split)
    classify = load_classifier(model, part)
    measurements = 1 + sum(len(corruption.strengths) for corruption in CORRUPTIONS.values())
    with bar("robustness", measurements * len(part), quiet) as advance:
        clean = _accuracy(classify, part, np.copy, advance)
        corruptions = {
            name: {
                "unit": corruption.unit,
                "strengths": list(corruption.strengths),
                "accuracies": [
                    _accuracy(classify, part, _with(corruption, strength, seed), advance)
                    for strength in corruption.strengths
                ],
            }
            for name, corruption in CORRUPTIONS.items()
        }
    mean = float(np.mean([row["accuracies"] for row in corruptions.values()]))
    return {
        "schema": SCHEMA,
        "model": str(model),
        "split": split.label,
        "selected_on": classify.origin.selected_on,
        "images": len(part),
        "fingerprint": part.fingerprints[split.label],
        "seed": seed,
        "clean_accuracy": clean,
        "corruptions": corruptions,
        "score": mean / clean if clean else None,
    }


def _with(corruption: Corruption, strength: float, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """A corruption as a function of images alone, with a generator of its own."""
    generator = np.random.default_rng(seed)
    return lambda images: corruption.apply(images, strength, generator)


def _accuracy(
    classify: Classifier, part: Dataset, change: Callable[[np.ndarray], np.ndarray], advance: Callable[[int], None]
) -> float:
    """The accuracy on changed images, batch by batch: no more than one batch of them is in memory."""
    answers = []
    for start in range(0, len(part), BATCH_SIZE):
        answers.append(classify(change(part.images[start : start + BATCH_SIZE])))
        advance(len(answers[-1]))
    return accuracy(part.labels, np.concatenate(answers))


def write_sheet(path: Path, seed: int = 0) -> None:
    """Writes a PNG of one face under every corruption, a row each: as it is, then in the five strengths.

    The face is drawn, so that the sheet may be passed on, as FER2013's own pictures may not.

    Raises:
        RunError: if the file cannot be written.
    """
    face = render_random_face("happy", np.random.default_rng(seed))
    rows = [_sheet_row(name, corruption, face, seed) for name, corruption in CORRUPTIONS.items()]
    write_contact_sheet(path, rows, scale=MAGNIFICATION)


def _sheet_row(name: str, corruption: Corruption, face: np.ndarray, seed: int) -> Row:
    """Apply a corruption to a face `(48, 48)` in all strengths."""
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
    """Minus one or one for each image: `(N,)`."""
    return np.where(generator.random(len(images)) < 0.5, -1.0, 1.0)


def _about_the_center(images: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    """A turn and a scale as a matrix `(2, 3)`."""
    height, width = images.shape[1:]
    return cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)


def _warped(images: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Each image by its matrix `(2, 3)`, from source to target; what moves in from outside repeats the border."""
    warped = np.empty_like(images)
    for image, matrix, target in zip(images, matrices, warped, strict=True):
        cv2.warpAffine(
            image, matrix, image.shape[::-1], dst=target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return warped
