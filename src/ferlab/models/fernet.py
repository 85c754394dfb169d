"""FerNet: our own residual network for 48-pixel faces, in two sizes.

Plain 3x3 convolutions in residual blocks (https://arxiv.org/abs/1512.03385), which a CPU runs faster than depthwise
ones of the same accuracy. Blocks of the last two stages, where maps are small, weigh their channels (squeeze
and excitation, https://arxiv.org/abs/1709.01507): in the first two it would cost an 8-bit processor a fifth of its
time. Each picture is first brought to mean 0 and variance 1, so that brightness and contrast do not count.

Size `s`: 1.4 M parameters and 45 M multiply-adds. Size `l`: 11 M parameters and 1.2 G multiply-adds, for a GPU.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferlab.errors import FerlabError
from ferlab.models._inputs import face_input

if TYPE_CHECKING:
    import keras

EXCITED_STAGES = 2  # the last ones
SQUEEZE = 8  # channels of a block for each one that its excitation passes through
EPSILON = 1.0  # grey level squared: what keeps a picture of one grey from being divided by zero


@dataclass(frozen=True, kw_only=True)
class Size:
    """Channels of each stage, residual blocks in each, and the stride of the first convolution."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    stem_stride: int


# Widths are multiples of 16: oneDNN's kernels are several times slower with 24 channels than with 32.
SIZES = {
    "s": Size(widths=(32, 64, 128, 144), blocks=(1, 1, 2, 2), stem_stride=2),
    "l": Size(widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), stem_stride=1),
}


def build(num_classes: int, *, size: str = "s", dropout: float = 0.25) -> "keras.Model":
    """Builds the network.

    Args:
        num_classes: number K of classes.
        size: `s` or `l`.
        dropout: rate before the last layer.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`.

    Raises:
        FerlabError: if there is no such size.
    """
    import keras
    from keras import layers

    if size not in SIZES:
        raise FerlabError(f"Unknown size '{size}' of fernet. Choose from: {', '.join(SIZES)}.")
    chosen = SIZES[size]
    images, x = face_input(scaling="raw")
    x = layers.LayerNormalization(axis=(1, 2, 3), epsilon=EPSILON, center=False, scale=False, dtype="float32")(x)
    x = _convolution(x, chosen.widths[0], strides=chosen.stem_stride)
    x = layers.ReLU()(x)
    for stage, (width, blocks) in enumerate(zip(chosen.widths, chosen.blocks, strict=True)):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            x = _residual_block(x, width, strides, excited=stage >= len(chosen.widths) - EXCITED_STAGES)
    x = layers.GlobalAveragePooling2D(name="features")(x)  # (N, C)
    x = layers.Dropout(dropout)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=f"fernet_{size}")


def _residual_block(x: "keras.KerasTensor", width: int, strides: int, *, excited: bool) -> "keras.KerasTensor":
    from keras import layers

    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = _convolution(x, width, kernel_size=1, strides=strides)
    x = layers.ReLU()(_convolution(x, width, strides=strides))
    x = _convolution(x, width)
    if excited:
        x = _excited(x)
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _convolution(x: "keras.KerasTensor", width: int, *, kernel_size: int = 3, strides: int = 1) -> "keras.KerasTensor":
    from keras import layers

    x = layers.Conv2D(
        width, kernel_size, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def _excited(x: "keras.KerasTensor") -> "keras.KerasTensor":
    from keras import layers

    width = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)  # (N, 1, 1, C)
    weights = layers.Conv2D(width // SQUEEZE, 1, activation="relu")(weights)
    weights = layers.Conv2D(width, 1, activation="sigmoid")(weights)
    return layers.Multiply()([x, weights])
