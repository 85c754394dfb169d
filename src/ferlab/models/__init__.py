"""The architectures. One module each, with `build(num_classes, **options) -> keras.Model`; its name is the model's.

Every model takes float32 images `(N, 48, 48, 1)`, 0..255, prepares them itself, and returns float32 logits `(N, K)`.
Modules whose names begin with an underscore hold what several architectures share.
"""

import contextlib
import importlib
import inspect
import math
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.errors import FerlabError, PluginError, UnknownNameError

if TYPE_CHECKING:
    import keras


_PLUGINS: dict[str, ModuleType] = {}


def model_names() -> list[str]:
    """The names of all architectures, sorted."""
    own = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    return sorted([*own, *_PLUGINS])


def model_summary(name: str) -> str:
    """The first line of the architecture's documentation."""
    return (_module(name).__doc__ or "no description").strip().splitlines()[0]


def model_options(name: str) -> dict[str, Any]:
    """The options of an architecture and their defaults."""
    parameters = inspect.signature(_module(name).build).parameters
    return {
        key: parameter.default
        for key, parameter in parameters.items()
        if key != "num_classes" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def build_model(name: str, num_classes: int = 7, **options: Any) -> "keras.Model":
    """Builds an architecture.

    Args:
        name: one of `model_names()`.
        num_classes: number K of classes.
        options: what the architecture's own `build` takes.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)` float32. Where the backbone is a known one,
        the layer called `features` gives what its head sees.

    Raises:
        UnknownNameError: if there is no such architecture or option.
    """
    module = _module_with(name, options)
    return _built_by_plugin(module, num_classes, options) if name in _PLUGINS else module.build(num_classes, **options)


def build_trainable(name: str, num_classes: int = 7, **options: Any) -> "keras.Model":
    """What of an architecture is trained: what its own `build_trainable` makes, if it has one, else the model itself.

    Args and errors as in `build_model`. Such a form is made of the layers in `_paired.py`.
    """
    own = getattr(_module_with(name, options), "build_trainable", None)
    return own(num_classes, **options) if own else build_model(name, num_classes, **options)


def set_trained_weights(model: "keras.Model", trained: "keras.Model") -> None:
    """Puts what `build_trainable`'s network has learned into the model of `build_model`."""
    from ferlab.models._paired import PairedConvolution, set_all_weights

    if any(isinstance(layer, PairedConvolution) for layer in trained.layers):
        set_all_weights(model, trained)
    else:
        model.set_weights(trained.get_weights())


def load_model(path: str | Path) -> "keras.Model":
    """Loads a `.keras` file, in safe mode.

    Raises:
        FerlabError: if it is none, or has layers of a plugin that is not loaded.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise FerlabError(
            f"{path} cannot be loaded as a Keras model: {str(error).splitlines()[0]} Layers of a plugin need --plugin."
        ) from error


def count_parameters(model: "keras.Model") -> tuple[int, int]:
    """The number of parameters of a model: all of them, and those that training changes."""
    return model.count_params(), sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_multiply_adds(model: "keras.Model") -> int:
    """Multiply-adds of one image through the convolutions and dense layers of a model; the rest is negligible.

    Models within the model are counted; a layer that is used more than once counts once.
    """
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += count_multiply_adds(layer)
        for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            kernel = getattr(layer, name, None)
            if kernel is not None:  # a depthwise kernel is (height, width, channels, 1)
                total += _positions(layer) * math.prod(kernel.shape)
    return total


def _positions(layer: "keras.Layer") -> int:
    """How often a layer's kernel is applied to one image: at each pixel, or at each member of a sequence."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):  # used more than once
        shape = layer._inbound_nodes[0].output_tensors[0].shape
    return math.prod(size or 1 for size in shape[1:-1])


def _module_with(name: str, options: dict[str, Any]) -> Any:
    """The module of an architecture that has these options."""
    if unknown := set(options) - set(model_options(name)):
        raise UnknownNameError(f"option of the model '{name}'", unknown.pop(), model_options(name))
    return _module(name)


def _module(name: str) -> Any:
    if name not in model_names():
        raise UnknownNameError("model", name, model_names())
    return _PLUGINS.get(name) or importlib.import_module(f"{__name__}.{name}")


def add_plugin(module: ModuleType) -> bool:
    """Makes a plugin's architecture known by the name of its file.

    Returns:
        Whether the module has one: a function `build`.

    Raises:
        PluginError: if `build` cannot be called as the contract has it, or the name is in use.
    """
    name, build = module.__name__.removeprefix("ferlab_plugin_"), getattr(module, "build", None)
    if not inspect.isfunction(build):
        return False
    if name in model_names():
        raise PluginError.at(build, f"a network called '{name}' is there already; rename the file")
    first, *others = [*inspect.signature(build).parameters.values(), None]
    if first is None or first.name != "num_classes" or first.kind is not first.POSITIONAL_OR_KEYWORD:
        raise PluginError.at(build, "its first parameter must be num_classes")
    if any(other and other.default is other.empty and other.kind is not other.VAR_KEYWORD for other in others):
        raise PluginError.at(build, "every parameter but num_classes must have a default")
    _PLUGINS[name] = module
    return True


def remove_plugin(name: str) -> None:
    """Forgets a plugin's architecture, if there is one of that name."""
    _PLUGINS.pop(name, None)


def _built_by_plugin(module: ModuleType, num_classes: int, options: dict[str, Any]) -> "keras.Model":
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model = module.build(num_classes, **options)
    except (Exception, SystemExit) as error:
        raise PluginError.caused_by(error, str(module.__file__), f"build({num_classes}) must return a model") from error
    if broken := _broken_contract(model, num_classes):
        raise PluginError.at(module.build, broken)
    return model


def _broken_contract(model: Any, num_classes: int) -> str | None:
    """What a model does otherwise than every architecture must, in words; None where it keeps the contract."""
    import keras

    if not isinstance(model, keras.Model):
        return f"it must return a keras.Model, not {type(model).__name__}"
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if [tuple(tensor.shape) for tensor in inputs] != [(None, 48, 48, 1)]:
        return f"its one input must be images (None, 48, 48, 1), not {[tuple(tensor.shape) for tensor in inputs]}"
    if [tuple(tensor.shape) for tensor in outputs] != [(None, num_classes)]:
        shapes = [tuple(tensor.shape) for tensor in outputs]
        return f"its one output must be logits (None, {num_classes}), not {shapes}"
    if outputs[0].dtype != "float32":
        return f'its logits must be float32, not {outputs[0].dtype}: give the last layer dtype="float32"'
    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    if isinstance(last, keras.layers.Softmax) or activation in ("softmax", "sigmoid"):
        return "its outputs must be logits, not probabilities: leave out the last activation"
    return None


def predict_logits(model: "keras.Model", inputs: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Runs a model.

    Args:
        model: one that `build_model` made, or a part of it.
        inputs: images `(N, 48, 48)` uint8, 0..255, or features `(N, F)`.
        batch_size: images at a time. At 224 pixels, 64 images of MobileNetV2 take 7 GB, and 256 more than 16.

    Returns:
        `(N, K)` float32.
    """
    import keras

    if inputs.ndim == 3:
        inputs = inputs[..., None]  # (N, 48, 48, 1); Keras turns each batch into float32
    if keras.config.backend() != "tensorflow":
        return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), np.float32)
    # TensorFlow needs longer to trace a deep network than to run it step by step on a few batches.
    starts = range(0, len(inputs), batch_size)
    batches = (model(inputs[start : start + batch_size].astype(np.float32), training=False) for start in starts)
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches]).astype(np.float32)
