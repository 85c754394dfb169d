"""The original study's NewModel and input pipeline, as in its notebook."""

from pathlib import Path
from typing import Any

import numpy as np

BATCH_SIZE = 64
EPOCHS = 15


def write_jpegs(images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], folder: Path) -> None:
    """Write images as JPEG files in class folders, the format that the study used."""
    import cv2

    for name in class_names:
        (folder / name).mkdir(parents=True)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / class_names[label] / f"{index}.jpg"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])


def flipped_batches(folder: Path) -> Any:
    """Yield endless batches from the files: randomly flipped images `(64, 48, 48, 1)`, 0..255, and one-hot labels."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(horizontal_flip=True).flow_from_directory(
        folder, target_size=(48, 48), color_mode="grayscale", class_mode="categorical", batch_size=BATCH_SIZE
    )


def compiled_model() -> Any:
    """Build and compile the float32 network."""
    from keras import Sequential, layers, optimizers

    model = Sequential([layers.Input((48, 48, 1))])
    for filters, kernel_size in ((64, 3), (128, 5), (512, 3), (512, 3)):
        model.add(layers.Conv2D(filters, kernel_size, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.25))
    model.add(layers.Flatten())
    for units in (256, 512):
        model.add(layers.Dense(units))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        model.add(layers.Dropout(0.25))
    model.add(layers.Dense(7, activation="softmax"))
    model.compile(optimizers.Adam(5e-4), loss="categorical_crossentropy", metrics=["accuracy"])
    return model
