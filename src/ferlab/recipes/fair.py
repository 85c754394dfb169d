"""The study's four architectures and FerNet under one protocol: everything is equal except the learning rate.

From scratch, all layers trained, 20 passes over Training, the same augmentation, correct preprocessing inside the
model, epochs selected on PublicTest. All models see the images at 48 pixels. The heads of the Keras applications are
global average pooling and one dense layer.

The learning rates of the recipes from scratch come from small searches, described in docs/log.md. The `_imagenet`
recipes start from ImageNet weights, with common rates: for MobileNetV2, the same search finds a rate that is too
high for a full training. They use images from outside FER2013, so they are separate recipes.
"""

from dataclasses import replace
from typing import Any

from ferlab.recipes.augmentation import Augmentation
from ferlab.recipes.recipe import Recipe

AUGMENTATION = Augmentation(flip=True, rotation=10, shift=0.06, zoom=0.08)


def _fair(architecture: str, learning_rate: float, summary: str, **model: Any) -> Recipe:
    return Recipe(
        summary=summary,
        architecture=architecture,
        model=model,
        epochs=20,
        batch_size=64,
        augmentation=AUGMENTATION,
        optimizer="adam",
        learning_rate=learning_rate,
        schedule="cosine",
        warmup_epochs=0.5,
        weight_decay=0.05,
        label_smoothing=0.1,
        ema=0.998,
    )


def fair_newmodel() -> Recipe:
    """The study's own network from scratch."""
    recipe = _fair("newmodel", 1e-2, "The study's own network from scratch")
    return replace(recipe, expected_accuracy=0.6578, expected_source="PublicTest, one seed: docs/log.md")


def fair_mobilenetv2() -> Recipe:
    """MobileNetV2 from scratch."""
    recipe = _fair("mobilenetv2", 3e-3, "MobileNetV2 from scratch, all layers trained")
    return replace(recipe, expected_accuracy=0.6091, expected_source="PublicTest, one seed: docs/log.md")


def fair_resnet50() -> Recipe:
    """ResNet50 from scratch."""
    recipe = _fair("resnet50", 1e-3, "ResNet50 from scratch, all layers trained")
    return replace(recipe, expected_accuracy=0.6289, expected_source="PublicTest, one seed: docs/log.md")


def fair_vgg16() -> Recipe:
    """VGG16 without its dense layers, from scratch."""
    recipe = _fair("vgg16", 3e-3, "VGG16 from scratch, all layers trained")
    return replace(recipe, expected_accuracy=0.6606, expected_source="PublicTest, one seed: docs/log.md")


def fair_fernet() -> Recipe:
    """FerNet s from scratch, as it is in the package, but without its own recipe."""
    recipe = _fair("fernet", 1e-2, "FerNet s from scratch", size="s", mirrored=True)
    return replace(recipe, expected_accuracy=0.6651, expected_source="PublicTest, one seed: docs/log.md")


def fair_mobilenetv2_imagenet() -> Recipe:
    """MobileNetV2 from ImageNet weights."""
    recipe = _fair("mobilenetv2", 1e-3, "MobileNetV2 from ImageNet weights, all layers trained", weights="imagenet")
    return replace(
        recipe, expected_accuracy=0.6548, expected_source="PublicTest, one seed: results/first_comparison.json"
    )


def fair_resnet50_imagenet() -> Recipe:
    """ResNet50 from ImageNet weights."""
    return _fair("resnet50", 3e-4, "ResNet50 from ImageNet weights, all layers trained", weights="imagenet")


def fair_vgg16_imagenet() -> Recipe:
    """VGG16 from ImageNet weights."""
    return _fair("vgg16", 1e-4, "VGG16 from ImageNet weights, all layers trained", weights="imagenet")
