"""A plugin for the campaign: a network of two convolutions that trains in a second."""

import keras

from ferlab.recipes import Recipe


def build(num_classes, *, width=4):
    images = keras.Input((48, 48, 1))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(width, 3, strides=4, activation="relu")(x)
    x = keras.layers.Conv2D(width, 3, strides=2, activation="relu", name="features")(x)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, keras.layers.Dense(num_classes, dtype="float32")(x))


def tortured() -> Recipe:
    return Recipe(summary="Two convolutions", architecture="tortured", ema=0.9)
