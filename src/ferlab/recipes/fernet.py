"""Recipes of FerNet, trained from scratch on Training only."""

from dataclasses import replace

from ferlab.recipes.augmentation import Augmentation
from ferlab.recipes.recipe import Recipe

AUGMENTATION = Augmentation(flip=True, rotation=12, shift=0.08, zoom=0.12, contrast=0.25, erase=0.3)


# For photos as people have them: crops of a detector, exposure, blur, compression and low resolution.
PHOTOS = Augmentation(
    flip=True,
    rotation=12,
    shift=0.05,
    zoom=0.08,
    contrast=0.25,
    erase=0.25,
    detected=0.5,
    exposure=0.5,
    degraded=0.25,
)


def _fernet(size: str, summary: str) -> Recipe:
    return Recipe(
        summary=summary,
        architecture="fernet",
        model={"size": size},
        epochs=60,
        batch_size=128,
        augmentation=AUGMENTATION,
        optimizer="sgd",
        learning_rate=0.1,
        schedule="cosine",
        warmup_epochs=2.0,
        weight_decay=5e-3,
        label_smoothing=0.1,
        mixup=0.2,
        clean_epochs=10,
        ema=0.999,
    )


def fernet_s() -> Recipe:
    """FerNet for a CPU, from scratch."""
    return _fernet("s", "FerNet for a CPU, from scratch")


def fernet_s_quick() -> Recipe:
    """FerNet for a CPU in 15 minutes: with Adam, which converges faster than SGD, and weak augmentation."""
    return replace(
        _fernet("s", "FerNet for a CPU, from scratch in 15 minutes"),
        model={"size": "s", "dropout": 0.1},
        epochs=15,
        batch_size=64,
        augmentation=Augmentation(flip=True, rotation=8, shift=0.06, zoom=0.08, contrast=0.15),
        optimizer="adam",
        learning_rate=3e-3,
        warmup_epochs=1.0,
        weight_decay=0.1,
        mixup=0.0,
        clean_epochs=0,
        expected_accuracy=0.6534,
        expected_source="PublicTest, one seed: docs/log.md",
    )


def fernet_s_distilled() -> Recipe:
    """FerNet for a CPU, mirrored and distilled from other FerNets: the network `fer2013` in the package.

    Teachers see the same augmented and mixed images (https://arxiv.org/abs/2106.05237). Pass them with
    `--set teachers=DIR,DIR`.
    """
    return replace(
        _fernet("s", "FerNet for a CPU, distilled from trained models: the network fer2013 in the package"),
        model={"size": "s", "mirrored": True},
        epochs=100,
        clean_epochs=16,
        label_smoothing=0.0,
        distillation=0.5,
        expected_accuracy=0.7024,
        expected_source="PublicTest, one seed, one teacher: docs/log.md",
    )


def _for_photos(size: str, summary: str) -> Recipe:
    return replace(
        _fernet(size, summary),
        model={"size": size, "mirrored": True},
        epochs=100,
        augmentation=PHOTOS,
        label_smoothing=0.0,
        clean_epochs=10,
    )


def fernet_fast() -> Recipe:
    """FerNet s for photos, to be trained on the votes of FER+: the network `fast` in the package."""
    return _for_photos("s", "FerNet s for photos, for --target ferplus: the network fast in the package")


def fernet_accurate() -> Recipe:
    """FerNet m for photos, to be trained on the votes of FER+: the network `accurate` in the package."""
    return _for_photos("m", "FerNet m for photos, for --target ferplus: the network accurate in the package")


def fernet_l() -> Recipe:
    """FerNet for a GPU."""
    return _fernet("l", "FerNet for a GPU, from scratch; not measured yet")
