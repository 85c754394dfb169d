"""What the three ImageNet classics share: weights, a frozen or trained backbone, and a head."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ferlab.errors import FerlabError
from ferlab.models._inputs import face_input

if TYPE_CHECKING:
    import keras


def build_classic(
    application: Callable[..., "keras.Model"],
    num_classes: int,
    *,
    name: str,
    input_size: int,
    scaling: str,
    interpolation: str,
    weights: str,
    trainable_backbone: bool,
    dense_units: int,
    dropout: float,
    last_layer: str | None = None,
) -> "keras.Model":
    """Puts a head on a network of `keras.applications`.

    Args:
        application: the function of `keras.applications` that builds it.
        num_classes: number K of classes.
        name: name of the model.
        input_size: side in pixels at which the backbone works.
        scaling: see `ferlab.models._inputs.SCALINGS`.
        interpolation: how pictures are enlarged, `bilinear` or `nearest`.
        weights: `imagenet` (downloaded), `none`, or the path of a weights file.
        trainable_backbone: whether the backbone learns; a frozen one normalizes with its stored statistics.
        dense_units: units of a ReLU layer before the logits, or 0 for none.
        dropout: rate before the logits.
        last_layer: the layer of the full network, dense layers included, that gives the features; None drops those
            layers and averages the last feature map.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`, with a layer called `features`.
    """
    import keras
    from keras import layers

    images, x = face_input(input_size=input_size, channels=3, scaling=scaling, interpolation=interpolation)
    shape = {"include_top": last_layer is not None, "input_shape": (input_size, input_size, 3)}
    backbone = application(weights=None, input_tensor=x, **shape)
    if weights != "none":
        # Loaded into the plain network, whose layers the file describes, then copied into the one with our input.
        backbone.set_weights(_with_weights(application, weights, shape, name).get_weights())
    if not trainable_backbone:
        for layer in backbone.layers:
            layer.trainable = False
    if last_layer:
        x = layers.Identity(name="features")(backbone.get_layer(last_layer).output)
    else:
        x = layers.GlobalAveragePooling2D(name="features")(backbone.output)
    if dense_units:
        x = layers.Dense(dense_units, activation="relu")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=name)


def _with_weights(application: Callable[..., "keras.Model"], weights: str, shape: dict, name: str) -> "keras.Model":
    if weights == "imagenet":
        try:
            return application(weights="imagenet", **shape)
        except Exception as error:  # Keras wraps network failures in bare Exception
            raise FerlabError(
                f"The ImageNet weights of {name} could not be downloaded ({_first_line(error)}). Without a network, "
                "download the file elsewhere and name it with --set model.weights=FILE, or train from scratch with "
                "--set model.weights=none."
            ) from error
    if not Path(weights).is_file():
        raise FerlabError(f"There is no weights file '{weights}'. 'weights' is imagenet, none or the path of a file.")
    model = application(weights=None, **shape)
    try:
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise FerlabError(f"{weights} does not hold the weights of {name}: {_first_line(error)}") from error
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
