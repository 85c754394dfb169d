"""Networks and recipes of one's own: a Python file that keeps the contracts of `models/` and `recipes/`."""

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ferlab import models, recipes
from ferlab.backend import start_keras
from ferlab.errors import PluginError

CONTRACT = "build(num_classes, ...) -> keras.Model, or functions annotated -> Recipe"


def load_plugin(path: str | Path, backend: str | None = None) -> None:
    """Makes the network and the recipes of a file known by their names.

    A function `build(num_classes, **options)` in it is a network, called as the file is: `tiny.py` holds `tiny`. Every
    public function that is annotated `-> Recipe` is a recipe, in a group that is called as the file is. The file is run
    as Python code: load none that you do not trust. Loading it again does nothing.

    Args:
        path: a `.py` file.
        backend: `tensorflow` or `jax`, for the file may import Keras; None for the one in use.

    Raises:
        PluginError: with file and line, if the file cannot be run, takes a name that is in use, or breaks a contract.
    """
    path = Path(path).expanduser().resolve()
    if _is_loaded(path):
        return
    start_keras(backend)
    module = _run(path)
    try:
        has_model, has_recipes = models.add_plugin(module), recipes.add_plugin(module)
        if not has_model and not has_recipes:
            raise PluginError(f"{path}, line 1: it defines neither a network nor a recipe. Expected: {CONTRACT}.")
    except BaseException:
        models.remove_plugin(path.stem)
        recipes.remove_plugin(path.stem)
        del sys.modules[module.__name__]
        raise


def _is_loaded(path: Path) -> bool:
    module = sys.modules.get(_module_name(path))
    if module is None:
        return False
    if Path(str(module.__file__)) != path:
        raise PluginError(f"{path}: the plugin {module.__file__} is called '{path.stem}' as well. Rename one of them.")
    return True


def _module_name(path: Path) -> str:
    return f"ferlab_plugin_{path.stem}"


def _run(path: Path) -> ModuleType:
    """Runs the file as a module of its own."""
    if not path.is_file():
        raise PluginError(f"{path} does not exist. Give the path of a Python file.")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise PluginError(f"{path}: the name of a plugin is a Python name with .py after it, such as tiny.py.")
    specification = importlib.util.spec_from_file_location(_module_name(path), path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):
            specification.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[module.__name__]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError.caused_by(error, path, "importing it must not fail") from error
    return module
