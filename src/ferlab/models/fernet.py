"""FerNet: a residual network for 48x48 face images, in three sizes.

Plain 3x3 convolutions in residual blocks (https://arxiv.org/abs/1512.03385): on a CPU they run faster than depthwise
convolutions of the same accuracy. The blocks of the last two stages, where feature maps are small, use squeeze and
excitation (https://arxiv.org/abs/1709.01507); in the first two stages it would take a fifth of the time of an int8
model. Each image is first normalized to mean 0 and variance 1, so that brightness and contrast do not matter.

Size `s` has 1.4 M parameters (1.5 M mirrored) and 45 M multiply-adds; size `m` has four times as many of both. Size `l`
has 11 M parameters and 1.2 G multiply-adds, for a GPU.

With `mirrored`, the prediction is the same for a face and its mirror image; see `_paired_layers.py`. Half of the
weights follow from the other half. `trainable_fernet` holds the free weights only; `fernet` holds all of them in plain
Keras layers, and is as fast as without `mirrored`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferlab.errors import FerlabError
from ferlab.models._inputs import image_input

if TYPE_CHECKING:
    import keras

EXCITED_STAGES = 2  # the last ones use squeeze and excitation
SQUEEZE_RATIO = 8  # channels of a block per channel of its bottleneck
EPSILON = 1.0  # gray levels squared: avoids a division by zero for uniform images


@dataclass(frozen=True, kw_only=True)
class Size:
    """Channels and residual blocks of each stage, and the stride of the first convolution."""

    widths: tuple[int, ...]
    mirrored_widths: tuple[int, ...]  # smaller kernels leave room for more channels
    blocks: tuple[int, ...]
    stem_stride: int


@dataclass(frozen=True, kw_only=True)
class KernelSizes:
    """Side lengths of the kernels of the stem, of strided convolutions, and of strided shortcuts."""

    stem: int
    strided: int
    shortcut: int


# Widths are multiples of 16: oneDNN's kernels are several times slower with 24 channels than with 32.
SIZES = {
    "s": Size(widths=(32, 64, 128, 144), mirrored_widths=(32, 64, 128, 160), blocks=(1, 1, 2, 2), stem_stride=2),
    "m": Size(widths=(64, 128, 256, 288), mirrored_widths=(64, 128, 256, 320), blocks=(1, 1, 2, 2), stem_stride=2),
    "l": Size(widths=(64, 128, 256, 512), mirrored_widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), stem_stride=1),
}
PLAIN = KernelSizes(stem=3, strided=3, shortcut=1)
# On maps of even size, a strided odd kernel samples positions that are not symmetric.
MIRRORED = KernelSizes(stem=4, strided=2, shortcut=2)


def fernet(num_classes: int, *, size: str = "s", dropout: float = 0.25, mirrored: bool = False) -> "keras.Model":
    """Residual network for 48x48 face images, in three sizes.

    Args:
        num_classes: number K of classes.
        size: `s`, `m` or `l`.
        dropout: dropout rate before the last layer.
        mirrored: use the layout in which a trained network predicts the same for a face and its mirror image.

    Returns:
        A model of plain Keras layers, from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`.

    Raises:
        FerlabError: if the size is unknown.
    """
    return _network(num_classes, size, dropout, _Layers(kernels=MIRRORED if mirrored else PLAIN))


def trainable_fernet(
    num_classes: int, *, size: str = "s", dropout: float = 0.25, mirrored: bool = False
) -> "keras.Model":
    """Build the network that is trained: with paired layers if it is mirrored, else the same as `fernet`."""
    if not mirrored:
        return fernet(num_classes, size=size, dropout=dropout)
    return _network(num_classes, size, dropout, _Layers(kernels=MIRRORED, paired=True))


def _network(num_classes: int, size: str, dropout: float, parts: "_Layers") -> "keras.Model":
    import keras
    from keras import layers

    from ferlab.models._paired_layers import average_pairs

    if size not in SIZES:
        raise FerlabError(f"Unknown size '{size}' of fernet. Choose from: {', '.join(SIZES)}.")
    chosen = SIZES[size]
    widths = chosen.mirrored_widths if parts.kernels is MIRRORED else chosen.widths
    images, x = image_input(scaling="raw")
    x = layers.LayerNormalization(axis=(1, 2, 3), epsilon=EPSILON, center=False, scale=False, dtype="float32")(x)
    x = layers.ReLU()(parts.convolution(x, widths[0], parts.kernels.stem, chosen.stem_stride, name="stem"))
    for stage, (width, blocks) in enumerate(zip(widths, chosen.blocks, strict=True)):
        for block in range(blocks):
            strides, excited = 2 if stage and not block else 1, stage >= len(widths) - EXCITED_STAGES
            x = parts.residual_block(x, width, strides, excited=excited, name=f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling2D(name="features")(x)  # (N, C)
    if parts.paired:
        x = average_pairs(x)  # (N, C / 2)
    x = layers.Dropout(dropout)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=f"fernet_{size}")


@dataclass(frozen=True, kw_only=True)
class _Layers:
    """The building blocks of the network, made of plain or of paired layers with the same names."""

    kernels: KernelSizes
    paired: bool = False

    def residual_block(
        self, x: "keras.KerasTensor", width: int, strides: int, *, excited: bool, name: str
    ) -> "keras.KerasTensor":
        from keras import layers

        shortcut = x
        if strides > 1 or x.shape[-1] != width:
            side = self.kernels.shortcut if strides > 1 else 1
            shortcut = self.convolution(x, width, side, strides, name=f"{name}_shortcut")
        side = self.kernels.strided if strides > 1 else 3
        x = layers.ReLU()(self.convolution(x, width, side, strides, name=f"{name}_first"))
        x = self.convolution(x, width, 3, 1, name=f"{name}_second")
        if excited:
            x = self.squeeze_and_excite(x, name)
        return layers.ReLU()(layers.Add()([x, shortcut]))

    def convolution(
        self, x: "keras.KerasTensor", width: int, kernel_size: int, strides: int, *, name: str
    ) -> "keras.KerasTensor":
        """Apply a convolution and batch normalization."""
        from keras import layers

        from ferlab.models._paired_layers import normalize_pairs

        settings = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
        x = self._convolution(width, kernel_size, strides=strides, name=name, **settings)(x)
        normalization = {"momentum": 0.9, "epsilon": 1e-5, "name": f"{name}_normalization"}
        return normalize_pairs(x, **normalization) if self.paired else layers.BatchNormalization(**normalization)(x)

    def squeeze_and_excite(self, x: "keras.KerasTensor", name: str) -> "keras.KerasTensor":
        from keras import layers

        width = x.shape[-1]
        weights = layers.GlobalAveragePooling2D(keepdims=True)(x)  # (N, 1, 1, C)
        weights = self._convolution(width // SQUEEZE_RATIO, 1, activation="relu", name=f"{name}_squeeze")(weights)
        weights = self._convolution(width, 1, activation="sigmoid", name=f"{name}_excitation")(weights)
        return layers.Multiply()([x, weights])

    @property
    def _convolution(self) -> type["keras.Layer"]:
        from keras import layers

        from ferlab.models._paired_layers import PairedConvolution

        return PairedConvolution if self.paired else layers.Conv2D
