"""The network that a fine-tuning starts from: the layers before the last one, and the weights of the last one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from ferlab.errors import ArtifactError, FerlabError
from ferlab.evaluation.metrics import softmax
from ferlab.evaluation.trained_model import TrainedModel, open_model
from ferlab.export.parity import Quantize
from ferlab.finetuning.onnx_network import has_8_bit_weights, read_network
from ferlab.models import predict_logits

DROPOUT = 0.2
HASH_LENGTH = 12  # characters
PROBES = 16  # images with which a network that was read back is checked
MAX_PROBE_ERROR = 0.1  # mean difference of probabilities; the rounding of 8 bits makes about 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """A trained network, divided before its last layer.

    Args:
        model: the model as it was.
        class_names: its K classes.
        backbone: from images `(N, 48, 48, 1)` to features `(N, F)`.
        kernel: `(F, K)` float32, weights of the last layer.
        bias: `(K,)` float32.
    """

    model: TrainedModel
    class_names: tuple[str, ...]
    backbone: keras.Model
    kernel: np.ndarray
    bias: np.ndarray

    @property
    def quantize(self) -> Quantize:
        """How the file stores its weights: `int8`, or `none` for more bits."""
        return "int8" if self.model.artifact and has_8_bit_weights(self.model.path) else "none"

    @property
    def identity(self) -> str:
        """The name of the model, with the hash of its file."""
        content = self.model.path.read_bytes()
        return f"{Path(self.model.name).name} {hashlib.sha256(content).hexdigest()[:HASH_LENGTH]}"

    def network(self, class_names: tuple[str, ...], *, frozen: bool) -> keras.Model:
        """Build a network for other classes.

        Args:
            class_names: the classes. Those that the model knows keep its weights in the last layer.
            frozen: train only the last layer.

        Returns:
            A model from images to logits, which shares no weights with others.
        """
        backbone = keras.models.clone_model(self.backbone)
        backbone.set_weights(self.backbone.get_weights())
        for layer in backbone._flatten_layers():  # no public API for nested layers
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False  # a few photos are too few for new statistics
        backbone.name = "backbone"
        if frozen:
            backbone.trainable = False
        images = keras.Input((48, 48, 1))
        features = layers.Identity(name="features")(backbone(images))
        dropped = layers.Dropout(DROPOUT)(features)
        head = layers.Dense(len(class_names), dtype="float32", name="logits")
        model = keras.Model(images, head(dropped))
        head.set_weights(self._head(class_names))
        return model

    def _head(self, class_names: tuple[str, ...]) -> list[np.ndarray]:
        kernel = np.zeros((len(self.kernel), len(class_names)), np.float32)
        bias = np.zeros(len(class_names), np.float32)
        for column, name in enumerate(class_names):
            known = self._index(name)
            if known is not None:
                kernel[:, column], bias[column] = self.kernel[:, known], self.bias[known]
        return [kernel, bias]

    def _index(self, name: str) -> int | None:
        """Find a class, in any spelling of upper and lower case."""
        names = [known.casefold() for known in self.class_names]
        return names.index(name.casefold()) if name.casefold() in names else None

    def probabilities(self, images: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray | None:
        """Predict with the model as it was, among some of its classes.

        Returns:
            `(N, K)`; None if it does not know all of the classes.
        """
        columns = [column for name in class_names if (column := self._index(name)) is not None]
        if len(columns) < len(class_names):
            return None
        probabilities = self.model(images)[:, columns]
        return probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)


def open_start(model: str | Path) -> Start:
    """Open the network to start from.

    Args:
        model: the name of a network in the package, an `.onnx` file or a run folder.

    Raises:
        ArtifactError: if the file is not a valid artifact, or its network cannot be read back into Keras.
        FerlabError: if there is no such model, its classes are unknown, or it does not end in a dense layer.
        RunError: if the folder does not contain a trained model.
    """
    opened = open_model(model)
    if opened.path.suffix == ".tflite":
        raise FerlabError(f"{model} cannot be trained. Pass its run folder, or export it as .onnx.")
    if opened.provenance.class_names is None:
        raise FerlabError(f"{model} does not contain its class names. Pass its run folder or an exported file.")
    network = _read_back(opened) if opened.artifact else opened.keras_model
    head = next((layer for layer in reversed(network.layers) if isinstance(layer, layers.Dense)), None)
    if head is None or head.output is not network.output:
        raise FerlabError(f"{model} does not end in a dense layer, so it cannot be fine-tuned.")
    kernel, *bias = head.get_weights()
    return Start(
        model=opened,
        class_names=opened.provenance.class_names,
        backbone=keras.Model(network.input, head.input),
        kernel=kernel,
        bias=bias[0] if bias else np.zeros(kernel.shape[1], np.float32),
    )


def _read_back(model: TrainedModel) -> keras.Model:
    """Read the network of an artifact, and check that it predicts as the artifact does.

    Raises:
        ArtifactError: if it cannot be read, or predicts otherwise.
    """
    network = read_network(model.path)
    images = np.random.default_rng(0).integers(256, size=(PROBES, 48, 48), dtype=np.uint8)
    difference = float(np.abs(softmax(predict_logits(network, images)) - model(images)).mean())
    if not difference <= MAX_PROBE_ERROR:
        raise ArtifactError(
            f"{model.path} cannot be read back into Keras: the network predicts otherwise, by {difference:.3f} on "
            "average. Pass the run folder that it was exported from."
        )
    return network
