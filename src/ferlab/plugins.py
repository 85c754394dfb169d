"""Plugins: Python files outside the package that define architectures and recipes."""

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ferlab.backend import start_keras
from ferlab.errors import PluginError
from ferlab.models.registry import PLUGIN_PREFIX, check_plugin_models
from ferlab.recipes.registry import check_plugin_recipes

EXPECTED = (
    "build(num_classes, ...), functions annotated -> keras.Model that take num_classes first, "
    "or functions annotated -> Recipe"
)


def load_plugin(path: str | Path, backend: str | None = None) -> None:
    """Register the architectures and recipes of a Python file.

    A function `build(num_classes, **options)` is an architecture named after the file: `tiny.py` defines `tiny`. So is
    every public function annotated `-> keras.Model` that takes `num_classes` first, named after the function. Every
    public function annotated `-> Recipe` is a recipe, in a group named after the file. Loading a file again does
    nothing. The file runs as Python code: load only files that you trust.

    Args:
        path: a `.py` file.
        backend: `tensorflow` or `jax`, since the file may import Keras; None for the current one.

    Raises:
        PluginError: with file and line, if the file cannot be run, uses a name that is taken, or breaks a contract.
    """
    path = Path(path).expanduser().resolve()
    if _is_loaded(path):
        return
    start_keras(backend)
    _run(path)
    try:
        has_models, has_recipes = check_plugin_models(path.stem), check_plugin_recipes(path.stem)
        if not has_models and not has_recipes:
            raise PluginError(f"{path}, line 1: the file defines no architecture and no recipe. Expected: {EXPECTED}.")
    except BaseException:
        unload_plugin(path.stem)
        raise


def loaded_plugins() -> tuple[Path, ...]:
    """Return the files of all loaded plugins."""
    return tuple(Path(str(module.__file__)) for name, module in sys.modules.items() if name.startswith(PLUGIN_PREFIX))


def unload_plugin(name: str) -> None:
    """Remove the architectures and recipes of a plugin.

    Args:
        name: the name of the file, without `.py`.
    """
    sys.modules.pop(f"{PLUGIN_PREFIX}{name}", None)


def _is_loaded(path: Path) -> bool:
    module = sys.modules.get(f"{PLUGIN_PREFIX}{path.stem}")
    if module is None:
        return False
    if Path(str(module.__file__)) != path:
        raise PluginError(f"{path}: the plugin {module.__file__} is also named '{path.stem}'. Rename one of them.")
    return True


def _run(path: Path) -> ModuleType:
    """Run the file as a module in `sys.modules`, where the registries find it."""
    if not path.is_file():
        raise PluginError(f"{path} does not exist. Pass the path of a Python file.")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise PluginError(f"{path}: a plugin must be named with a Python identifier and .py, such as tiny.py.")
    specification = importlib.util.spec_from_file_location(f"{PLUGIN_PREFIX}{path.stem}", path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):
            specification.loader.exec_module(module)
    except BaseException as error:
        unload_plugin(path.stem)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError.caused_by(error, path, "the file must run without errors") from error
    return module
