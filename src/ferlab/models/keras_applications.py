"""MobileNetV2, ResNet50 and VGG16 from `keras.applications`, with a classification head for K classes.

All three share these arguments:

    num_classes: number K of classes.
    input_size: side length of the backbone's input, in pixels.
    scaling: `raw` 0..255, `unit` 0..1, `symmetric` -1..1, or `caffe` (ImageNet means subtracted).
    interpolation: how images are resized, `bilinear` or `nearest`.
    weights: `none`, `imagenet` (downloaded), or the path of a weights file.
    trainable_backbone: whether the backbone is trained. A frozen one normalizes with its stored statistics.
    dense_units: units of a ReLU layer before the logits, or 0 for no such layer.
    dropout: dropout rate before the logits.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferlab.errors import FerlabError
from ferlab.models._inputs import image_input

if TYPE_CHECKING:
    import keras


def mobilenetv2(
    num_classes: int,
    *,
    input_size: int = 48,
    scaling: str = "symmetric",
    interpolation: str = "bilinear",
    weights: str = "none",
    trainable_backbone: bool = True,
    dense_units: int = 0,
    dropout: float = 0.0,
) -> "keras.Model":
    """MobileNetV2 (https://arxiv.org/abs/1801.04381) from keras.applications.

    In the original study's setting (224 pixels, 1,024 dense units) it has 3,576,903 parameters.
    """
    return _build(
        "MobileNetV2",
        num_classes,
        input_size=input_size,
        scaling=scaling,
        interpolation=interpolation,
        weights=weights,
        trainable_backbone=trainable_backbone,
        dense_units=dense_units,
        dropout=dropout,
    )


def resnet50(
    num_classes: int,
    *,
    input_size: int = 48,
    scaling: str = "caffe",
    interpolation: str = "bilinear",
    weights: str = "none",
    trainable_backbone: bool = True,
    dense_units: int = 0,
    dropout: float = 0.0,
) -> "keras.Model":
    """ResNet50 (https://arxiv.org/abs/1512.03385) from keras.applications.

    In the original study's setting (224 pixels, 128 dense units) it has 23,850,887 parameters.
    """
    return _build(
        "ResNet50",
        num_classes,
        input_size=input_size,
        scaling=scaling,
        interpolation=interpolation,
        weights=weights,
        trainable_backbone=trainable_backbone,
        dense_units=dense_units,
        dropout=dropout,
    )


def vgg16(
    num_classes: int,
    *,
    input_size: int = 48,
    scaling: str = "caffe",
    interpolation: str = "bilinear",
    weights: str = "none",
    trainable_backbone: bool = True,
    dense_units: int = 0,
    dropout: float = 0.0,
    full: bool = False,
) -> "keras.Model":
    """VGG16 (https://arxiv.org/abs/1409.1556) from keras.applications.

    With `full`, VGG16 keeps its own two dense layers. ImageNet weights for these require `input_size=224`. In the
    original study's setting (224 pixels, full) it has 134,289,223 parameters.
    """
    model = _build(
        "VGG16",
        num_classes,
        input_size=input_size,
        scaling=scaling,
        interpolation=interpolation,
        weights=weights,
        trainable_backbone=trainable_backbone,
        dense_units=dense_units,
        dropout=dropout,
        feature_layer="fc2" if full else None,
    )
    if weights == "none":
        _initialize_for_relu(model)
    return model


def _build(
    application_name: str,
    num_classes: int,
    *,
    input_size: int,
    scaling: str,
    interpolation: str,
    weights: str,
    trainable_backbone: bool,
    dense_units: int,
    dropout: float,
    feature_layer: str | None = None,
) -> "keras.Model":
    """Build a model of `keras.applications` with our input and head; for the other arguments see the module.

    Args:
        application_name: the function of `keras.applications`; in lower case, the name of the model.
        feature_layer: the layer of the full network that outputs the features, dense layers included. None removes
            the dense layers and averages the last feature map.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)`, with a layer called `features`.
    """
    import keras
    from keras import layers

    application, name = getattr(keras.applications, application_name), application_name.lower()
    images, x = image_input(input_size=input_size, channels=3, scaling=scaling, interpolation=interpolation)
    settings = {"include_top": feature_layer is not None, "input_shape": (input_size, input_size, 3)}
    backbone = application(weights=None, input_tensor=x, **settings)
    if weights != "none":
        # The weights file describes the layers of the plain network, so load it there and copy the weights.
        backbone.set_weights(_pretrained(application, weights, settings, name).get_weights())
    if not trainable_backbone:
        for layer in backbone.layers:
            layer.trainable = False
    if feature_layer:
        x = layers.Identity(name="features")(backbone.get_layer(feature_layer).output)
    else:
        x = layers.GlobalAveragePooling2D(name="features")(backbone.output)
    if dense_units:
        x = layers.Dense(dense_units, activation="relu")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=name)


def _pretrained(
    application: Callable[..., "keras.Model"], weights: str, settings: dict[str, Any], name: str
) -> "keras.Model":
    if weights == "imagenet":
        try:
            return application(weights="imagenet", **settings)
        except Exception as error:  # Keras wraps network failures in bare Exception
            raise FerlabError(
                f"The ImageNet weights of {name} could not be downloaded ({_first_line(error)}). Without network "
                "access, download the file elsewhere and pass it with --set model.weights=FILE, or train from scratch "
                "with --set model.weights=none."
            ) from error
    if not Path(weights).is_file():
        raise FerlabError(f"The weights file '{weights}' does not exist. Use imagenet, none or the path of a file.")
    model = application(weights=None, **settings)
    try:
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise FerlabError(f"{weights} does not contain the weights of {name}: {_first_line(error)}") from error
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _initialize_for_relu(model: "keras.Model") -> None:
    """Draw the kernels before each ReLU from the He normal distribution (https://arxiv.org/abs/1502.01852).

    VGG16 has no normalization layers. With Glorot initialization, the default in Keras, the signal vanishes over its 13
    convolutions, and training from scratch stays at chance level for hundreds of steps.
    """
    from keras import activations, initializers

    for layer in model.layers:
        if getattr(layer, "activation", None) is activations.relu:
            layer.kernel.assign(initializers.HeNormal()(layer.kernel.shape))
