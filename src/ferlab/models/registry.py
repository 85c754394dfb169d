"""Find architectures by name and build them.

Architectures come from the modules of this folder and from plugins: modules in `sys.modules` whose names begin with
`PLUGIN_PREFIX`, which `ferlab.plugins` loads.
"""

import contextlib
import hashlib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ferlab.errors import PluginError, RecipeError, UnknownNameError, reason_of

if TYPE_CHECKING:
    import keras

PLUGIN_PREFIX = "ferlab_plugin_"
TRAINABLE_PREFIX = "trainable_"  # of functions that build the form of an architecture that is trained

Builder = Callable[..., "keras.Model"]


def model_names() -> list[str]:
    """List the names of all architectures, sorted."""
    return sorted(_builders())


def model_summary(name: str) -> str:
    """Return the first line of an architecture's docstring.

    Raises:
        UnknownNameError: if the architecture does not exist.
    """
    builder = _builder(name)
    text = builder.__doc__ or sys.modules[builder.__module__].__doc__ or "no description"
    return text.strip().splitlines()[0]


def model_options(name: str) -> dict[str, Any]:
    """Return the options of an architecture and their defaults.

    Raises:
        UnknownNameError: if the architecture does not exist.
    """
    _, *options = inspect.signature(_builder(name)).parameters.values()
    return {
        option.name: option.default
        for option in options
        if option.kind not in (option.VAR_POSITIONAL, option.VAR_KEYWORD)
    }


def build_model(name: str, num_classes: int = 7, **options: Any) -> "keras.Model":
    """Build an architecture.

    Args:
        name: one of `model_names()`.
        num_classes: number K of classes.
        options: options of the architecture; see `model_options`.

    Returns:
        A model from images `(N, 48, 48, 1)`, 0..255, to logits `(N, K)` float32. The layer `features`, where the
        architecture has one, outputs the input of the classification head.

    Raises:
        UnknownNameError: if the architecture or an option does not exist.
        PluginError: if a plugin's architecture cannot be built or breaks the contract.
        RecipeError: if the value of an option is not possible.
    """
    builder = _builder_with(name, options)
    if is_from_plugin(builder):
        return _build_plugin_model(builder, num_classes, options)
    with _rejecting_options(name, options):
        return builder(num_classes, **options)


@contextlib.contextmanager
def _rejecting_options(name: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Turn errors of Keras into one that names the options."""
    try:
        yield
    except (ValueError, TypeError) as error:
        given = ", ".join(f"model.{option}={value}" for option, value in options.items()) or "these options"
        raise RecipeError(f"{name} cannot be built with {given}: {reason_of(error)}.") from error


def build_without_pretrained_weights(name: str, num_classes: int = 7, **options: Any) -> "keras.Model":
    """Build an architecture as `build_model` does, but never download or read pretrained weights."""
    if "weights" in model_options(name):
        options["weights"] = "none"
    return build_model(name, num_classes, **options)


def build_trainable(name: str, num_classes: int = 7, **options: Any) -> "keras.Model":
    """Build the form of an architecture that is trained.

    This is what the function `trainable_<name>` next to the architecture builds, or else the model itself. Args and
    errors are those of `build_model`.
    """
    builder = _builder_with(name, options)
    trainable = getattr(sys.modules[builder.__module__], f"{TRAINABLE_PREFIX}{name}", None)
    if not trainable:
        return build_model(name, num_classes, **options)
    with _rejecting_options(name, options):
        return trainable(num_classes, **options)


def set_trained_weights(model: "keras.Model", trained: "keras.Model") -> None:
    """Copy the weights of a model from `build_trainable` into the corresponding one from `build_model`."""
    from ferlab.models._paired_layers import PairedConvolution, set_expanded_weights

    if any(isinstance(layer, PairedConvolution) for layer in trained.layers):
        set_expanded_weights(model, trained)
    else:
        model.set_weights(trained.get_weights())


def set_initial_weights(trainable: "keras.Model", model: "keras.Model") -> None:
    """Copy the weights of a model from `build_model` into the corresponding one from `build_trainable`.

    Raises:
        ValueError: if their layers differ.
    """
    from ferlab.models._paired_layers import PairedConvolution, set_free_weights

    if any(isinstance(layer, PairedConvolution) for layer in trainable.layers):
        set_free_weights(trainable, model)
    else:
        trainable.set_weights(model.get_weights())


def plugin_sha256(name: str) -> str | None:
    """Return the SHA-256 of the plugin file that defines an architecture; None for an architecture of the package.

    Raises:
        UnknownNameError: if the architecture does not exist.
    """
    builder = _builder(name)
    if not is_from_plugin(builder):
        return None
    return hashlib.sha256(Path(inspect.getfile(builder)).read_bytes()).hexdigest()


def plugin_modules() -> dict[str, ModuleType]:
    """Return the loaded plugins by name, in the order in which they were loaded."""
    return {
        name.removeprefix(PLUGIN_PREFIX): module
        for name, module in list(sys.modules.items())
        if name.startswith(PLUGIN_PREFIX)
    }


def is_from_plugin(function: Callable[..., Any]) -> bool:
    """Return whether a plugin defines a function."""
    return function.__module__.startswith(PLUGIN_PREFIX)


def find_functions(module: ModuleType, returning: str) -> dict[str, Callable[..., Any]]:
    """Find the public functions of a module whose return annotation is the class of a given name."""
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and _annotation_name(inspect.signature(function).return_annotation) == returning
    }


def check_plugin_models(name: str) -> bool:
    """Check the architectures of a loaded plugin.

    Returns:
        Whether the plugin defines any.

    Raises:
        PluginError: if a function has the wrong parameters, or its name is taken.
    """
    module = plugin_modules()[name]
    found = _plugin_builders(name, module)
    taken = {other for other, builder in _builders().items() if builder.__module__ != module.__name__}
    for architecture, builder in found.items():
        if architecture in taken:
            hint = "rename the file" if builder.__name__ == "build" else "rename the function"
            raise PluginError.at(builder, f"an architecture named '{architecture}' already exists; {hint}")
        _check_parameters(builder)
    return bool(found)


def _builders() -> dict[str, Builder]:
    found: dict[str, Builder] = {}
    for name, module in plugin_modules().items():
        found |= _plugin_builders(name, module)
    package = __name__.rpartition(".")[0]
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not info.name.startswith("_"):
            found |= _module_builders(importlib.import_module(f"{package}.{info.name}"))
    return found


def _module_builders(module: ModuleType) -> dict[str, Builder]:
    return {
        name: function
        for name, function in find_functions(module, returning="Model").items()
        if not name.startswith(TRAINABLE_PREFIX)
        and next(iter(inspect.signature(function).parameters), "") == "num_classes"
    }


def _plugin_builders(name: str, module: ModuleType) -> dict[str, Builder]:
    """Find a plugin's architectures; a function called `build` is named after the file."""
    found = _module_builders(module)
    found.pop("build", None)
    build = getattr(module, "build", None)
    return found | {name: build} if inspect.isfunction(build) else found


def _builder(name: str) -> Builder:
    builders = _builders()
    if name not in builders:
        raise UnknownNameError("model", name, builders)
    return builders[name]


def _builder_with(name: str, options: dict[str, Any]) -> Builder:
    """Return the builder of an architecture that has these options."""
    known = model_options(name)
    if unknown := set(options) - set(known):
        raise UnknownNameError(f"option of the model '{name}'", unknown.pop(), known)
    return _builder(name)


def _annotation_name(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation.split(".")[-1]
    return getattr(annotation, "__name__", "")


def _check_parameters(builder: Builder) -> None:
    parameters = [*inspect.signature(builder).parameters.values()]
    if not parameters or parameters[0].name != "num_classes" or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise PluginError.at(builder, "its first parameter must be num_classes")
    for option in parameters[1:]:
        if option.default is option.empty and option.kind is not option.VAR_KEYWORD:
            raise PluginError.at(builder, "every parameter except num_classes must have a default")


def _build_plugin_model(builder: Builder, num_classes: int, options: dict[str, Any]) -> "keras.Model":
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model = builder(num_classes, **options)
    except (Exception, SystemExit) as error:
        contract = f"{builder.__name__}({num_classes}) must return a model"
        raise PluginError.caused_by(error, builder.__code__.co_filename, contract) from error
    if violation := _contract_violation(model, num_classes):
        raise PluginError.at(builder, violation)
    return model


def _contract_violation(model: Any, num_classes: int) -> str | None:
    """Describe how a model breaks the contract of architectures; None if it does not."""
    import keras

    if not isinstance(model, keras.Model):
        return f"it must return a keras.Model, not {type(model).__name__}"
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    input_shapes, output_shapes = ([tuple(tensor.shape) for tensor in tensors] for tensors in (inputs, outputs))
    if input_shapes != [(None, 48, 48, 1)]:
        return f"its only input must be images (None, 48, 48, 1), not {input_shapes}"
    if output_shapes != [(None, num_classes)]:
        return f"its only output must be logits (None, {num_classes}), not {output_shapes}"
    if outputs[0].dtype != "float32":
        return f'its logits must be float32, not {outputs[0].dtype}: give the last layer dtype="float32"'
    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    if isinstance(last, keras.layers.Softmax) or activation in ("softmax", "sigmoid"):
        return "its outputs must be logits, not probabilities: remove the last activation"
    return None
