"""The first layers of every model: from gray 48x48 images, 0..255, to the input of its backbone."""

from typing import TYPE_CHECKING

from ferlab.errors import FerlabError

if TYPE_CHECKING:
    import keras

# value = pixel * scale + offset, per channel. The "caffe" offsets are the ImageNet means (blue, green, red) that
# https://keras.io/api/applications/ subtracts for ResNet50 and VGG16. All channels of a gray image are equal, so the
# channel order matters for the offsets only.
SCALINGS: dict[str, tuple[float, list[float] | float]] = {
    "raw": (1.0, 0.0),
    "unit": (1 / 255, 0.0),
    "symmetric": (1 / 127.5, -1.0),
    "caffe": (1.0, [-103.939, -116.779, -123.68]),
}
INTERPOLATIONS = ("bilinear", "nearest")


def image_input(
    *, input_size: int = 48, channels: int = 1, scaling: str = "unit", interpolation: str = "bilinear"
) -> tuple["keras.KerasTensor", "keras.KerasTensor"]:
    """Create the input of a model and preprocess it.

    Args:
        input_size: side length of the backbone's input, in pixels.
        channels: 1, or 3 to repeat the gray channel.
        scaling: a key of `SCALINGS`.
        interpolation: how images are resized: `bilinear` or `nearest`.

    Returns:
        The input `(N, 48, 48, 1)` float32, 0..255, and the preprocessed images `(N, input_size, input_size, channels)`
        float32.

    Raises:
        FerlabError: if the scaling or the interpolation is unknown.
    """
    import keras

    if scaling not in SCALINGS:
        raise FerlabError(f"Unknown scaling '{scaling}'. Available: {', '.join(SCALINGS)}.")
    if interpolation not in INTERPOLATIONS:
        raise FerlabError(f"Unknown interpolation '{interpolation}'. Available: {', '.join(INTERPOLATIONS)}.")
    images = keras.Input((48, 48, 1), name="images")
    x = images
    if input_size != 48:
        # Not layers.Resizing: inside a functional model it runs with training=True and passes that on to later layers.
        x = keras.ops.image.resize(x, (input_size, input_size), interpolation=interpolation)
    if channels == 3:
        x = keras.layers.Concatenate(dtype="float32")([x] * 3)
    scale, offset = SCALINGS[scaling]
    if scaling != "raw":
        x = keras.layers.Rescaling(scale, offset, dtype="float32")(x)
    return images, x
