"""The first layers of every model: from gray pixels 0..255 at 48x48 to what its backbone expects."""

from typing import TYPE_CHECKING

from ferlab.errors import FerlabError

if TYPE_CHECKING:
    import keras

# value = pixel * scale + offset, a channel each; the "caffe" offsets are the ImageNet means (blue, green, red) that
# https://keras.io/api/applications/ subtracts for ResNet50 and VGG16. On gray pictures the order makes no difference
# to the pixels, only to the offsets.
SCALINGS: dict[str, tuple[float, list[float] | float]] = {
    "raw": (1.0, 0.0),
    "unit": (1 / 255, 0.0),
    "symmetric": (1 / 127.5, -1.0),
    "caffe": (1.0, [-103.939, -116.779, -123.68]),
}


def face_input(
    *, input_size: int = 48, channels: int = 1, scaling: str = "unit", interpolation: str = "bilinear"
) -> tuple["keras.KerasTensor", "keras.KerasTensor"]:
    """The input of a model and the tensor prepared from it.

    Args:
        input_size: side in pixels at which the backbone works.
        channels: 1, or 3 to repeat the gray channel.
        scaling: a key of `SCALINGS`.
        interpolation: how pictures are enlarged: `bilinear` or `nearest`.

    Returns:
        The input `(N, 48, 48, 1)` float32, 0..255, and the prepared `(N, input_size, input_size, channels)` float32.

    Raises:
        FerlabError: if the scaling is unknown.
    """
    import keras

    if scaling not in SCALINGS:
        raise FerlabError(f"Unknown scaling '{scaling}'. Available: {', '.join(SCALINGS)}.")
    images = keras.Input((48, 48, 1), name="images")
    prepared = images
    if input_size != 48:
        # Not layers.Resizing: it runs with training=True inside a functional model and passes that on.
        prepared = keras.ops.image.resize(prepared, (input_size, input_size), interpolation=interpolation)
    if channels == 3:
        prepared = keras.layers.Concatenate(dtype="float32")([prepared] * 3)
    scale, offset = SCALINGS[scaling]
    if scaling != "raw":
        prepared = keras.layers.Rescaling(scale, offset, dtype="float32")(prepared)
    return images, prepared
