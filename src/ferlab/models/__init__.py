"""The architectures. One module each, with `build(num_classes, **options) -> keras.Model`; its name is the model's.

Every model takes float32 images `(N, 48, 48, 1)`, 0..255, prepares them itself, and returns float32 logits `(N, K)`.
Modules whose names begin with an underscore hold what several architectures share.
"""

import importlib
import inspect
import math
import pkgutil
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.errors import UnknownNameError

if TYPE_CHECKING:
    import keras


def model_names() -> list[str]:
    """The names of all architectures, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def model_summary(name: str) -> str:
    """The first line of the architecture's documentation."""
    return (_module(name).__doc__ or "").strip().splitlines()[0]


def model_options(name: str) -> dict[str, Any]:
    """The options of an architecture and their defaults."""
    parameters = inspect.signature(_module(name).build).parameters
    return {key: parameter.default for key, parameter in parameters.items() if key != "num_classes"}


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
    if unknown := set(options) - set(model_options(name)):
        raise UnknownNameError(f"option of the model '{name}'", unknown.pop(), model_options(name))
    return _module(name).build(num_classes, **options)


def count_parameters(model: "keras.Model") -> tuple[int, int]:
    """The number of parameters of a model: all of them, and those that training changes."""
    return model.count_params(), sum(math.prod(weight.shape) for weight in model.trainable_weights)


def count_multiply_adds(model: "keras.Model") -> int:
    """Multiply-adds of one image through the convolutions and dense layers of a model; the rest is negligible."""
    total = 0
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and hasattr(layer, "kernel_size"):
            positions = math.prod(layer.output.shape[1:3])
            total += positions * math.prod(kernel.shape)  # a depthwise kernel is (height, width, channels, 1)
        elif kernel is not None:
            total += math.prod(kernel.shape)
    return total


def _module(name: str) -> Any:
    if name not in model_names():
        raise UnknownNameError("model", name, model_names())
    return importlib.import_module(f"{__name__}.{name}")


def predict_logits(model: "keras.Model", inputs: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Runs a model.

    Args:
        model: one that `build_model` made, or a part of it.
        inputs: images `(N, 48, 48)` uint8, 0..255, or features `(N, F)`.
        batch_size: images at a time.

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
