"""FerNet: our own residual network for 48-pixel faces, in two sizes.

Plain 3x3 convolutions in residual blocks (https://arxiv.org/abs/1512.03385), which a CPU runs faster than depthwise
ones of the same accuracy. Blocks of the last two stages, where maps are small, weigh their channels (squeeze
and excitation, https://arxiv.org/abs/1709.01507): in the first two it would cost an 8-bit processor a fifth of its
time. Each picture is first brought to mean 0 and variance 1, so that brightness and contrast do not count.

Size `s`: 1.4 M parameters (1.5 M mirrored) and 45 M multiply-adds. Size `l`: 11 M parameters and 1.2 G
multiply-adds, for a GPU.

Option `mirrored`: a face and its mirror image get the same answer. Channels come in pairs, of which the second sees the
mirror image as the first sees the picture (group convolutions, https://arxiv.org/abs/1602.07576, for the group of one
reflection), so that half of the weights follow from the other half. `build_trainable` has only those that are free to
learn; `build` has all of them, in Keras's own layers, and is as fast as without.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferlab.errors import FerlabError
from ferlab.models._inputs import face_input

if TYPE_CHECKING:
    import keras

EXCITED_STAGES = 2  # the last ones
SQUEEZE = 8  # channels of a block for each one that its excitation passes through
EPSILON = 1.0  # gray level squared: what keeps a picture of one gray from being divided by zero


@dataclass(frozen=True, kw_only=True)
class Size:
    """Channels of each stage, residual blocks in each, and the stride of the first convolution."""

    widths: tuple[int, ...]
    mirrored_widths: tuple[int, ...]  # smaller kernels leave room for more channels
    blocks: tuple[int, ...]
    stem_stride: int


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Sides of the kernels of the first convolution, of a stage's first one, and of its shortcut."""

    stem: int
    strided: int
    shortcut: int


# Widths are multiples of 16: oneDNN's kernels are several times slower with 24 channels than with 32.
SIZES = {
    "s": Size(widths=(32, 64, 128, 144), mirrored_widths=(32, 64, 128, 160), blocks=(1, 1, 2, 2), stem_stride=2),
    "l": Size(widths=(64, 128, 256, 512), mirrored_widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), stem_stride=1),
}
PLAIN = Kernels(stem=3, strided=3, shortcut=1)
# On maps of an even side, kernels of an odd one look at places that are not symmetric.
MIRRORED = Kernels(stem=4, strided=2, shortcut=2)


def build(num_classes: int, *, size: str = "s", dropout: float = 0.25, mirrored: bool = False) -> "keras.Model":
    """Builds the network of plain layers.

    Args:
        num_classes: number K of classes.
        size: `s` or `l`.
        dropout: rate before the last layer.
        mirrored: once trained, give a face and its mirror image the same answer.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`.

    Raises:
        FerlabError: if there is no such size.
    """
    return _network(num_classes, size, dropout, _Parts(kernels=MIRRORED if mirrored else PLAIN))


def build_trainable(
    num_classes: int, *, size: str = "s", dropout: float = 0.25, mirrored: bool = False
) -> "keras.Model":
    """Builds the network of what is free to learn: of paired layers where it is mirrored. Otherwise as `build`."""
    if not mirrored:
        return build(num_classes, size=size, dropout=dropout)
    return _network(num_classes, size, dropout, _Parts(kernels=MIRRORED, paired=True))


def _network(num_classes: int, size: str, dropout: float, parts: "_Parts") -> "keras.Model":
    import keras
    from keras import layers

    from ferlab.models._paired import average_pairs

    if size not in SIZES:
        raise FerlabError(f"Unknown size '{size}' of fernet. Choose from: {', '.join(SIZES)}.")
    chosen = SIZES[size]
    widths = chosen.mirrored_widths if parts.kernels is MIRRORED else chosen.widths
    images, x = face_input(scaling="raw")
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
class _Parts:
    """What the network is made of, in plain or in paired layers, which are called alike."""

    kernels: Kernels
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
            x = self.excited(x, name)
        return layers.ReLU()(layers.Add()([x, shortcut]))

    def convolution(
        self, x: "keras.KerasTensor", width: int, kernel_size: int, strides: int, *, name: str
    ) -> "keras.KerasTensor":
        """With batch normalization."""
        from keras import layers

        from ferlab.models._paired import normalize_pairs

        settings = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
        x = self._convolution(width, kernel_size, strides=strides, name=name, **settings)(x)
        normalization = {"momentum": 0.9, "epsilon": 1e-5, "name": f"{name}_normalization"}
        return normalize_pairs(x, **normalization) if self.paired else layers.BatchNormalization(**normalization)(x)

    def excited(self, x: "keras.KerasTensor", name: str) -> "keras.KerasTensor":
        """Squeeze and excitation."""
        from keras import layers

        width = x.shape[-1]
        weights = layers.GlobalAveragePooling2D(keepdims=True)(x)  # (N, 1, 1, C)
        weights = self._convolution(width // SQUEEZE, 1, activation="relu", name=f"{name}_squeeze")(weights)
        weights = self._convolution(width, 1, activation="sigmoid", name=f"{name}_excitation")(weights)
        return layers.Multiply()([x, weights])

    @property
    def _convolution(self) -> type["keras.Layer"]:
        from keras import layers

        from ferlab.models._paired import PairedConvolution

        return PairedConvolution if self.paired else layers.Conv2D
