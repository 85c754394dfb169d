"""The recipes. One module a family; every public function in it that returns a `Recipe` is one, named after it."""

import contextlib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from ferlab.errors import FerlabError, PluginError, UnknownNameError
from ferlab.models import model_names
from ferlab.recipes.recipe import EarlyStopping, Recipe, ReduceOnPlateau

__all__ = ["EarlyStopping", "Recipe", "ReduceOnPlateau", "find_recipes", "get_recipe", "recipe_groups"]

_PLUGINS: dict[str, ModuleType] = {}


def recipe_groups() -> dict[str, list[str]]:
    """The names of all recipes by group, in the order in which they are written."""
    return {group: list(functions) for group, functions in _functions().items() if functions}


def get_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        UnknownNameError: if there is none.
    """
    for group, functions in _functions().items():
        if name in functions:
            made = _made_by_plugin(functions[name]) if group in _PLUGINS else functions[name]()
            return replace(made, name=name, group=group)
    raise UnknownNameError("recipe", name, [name for names in recipe_groups().values() for name in names])


def find_recipes(names: list[str]) -> list[Recipe]:
    """The recipes of names and of groups, each once, in order.

    Raises:
        UnknownNameError: if a name is neither a recipe nor a group.
    """
    groups = recipe_groups()
    expanded = [recipe for name in names for recipe in groups.get(name, [name])]
    known = [recipe for recipes in groups.values() for recipe in recipes]
    for name in expanded:
        if name not in known:
            raise UnknownNameError("recipe or group", name, [*known, *groups])
    return [get_recipe(name) for name in dict.fromkeys(expanded)]


def _functions() -> dict[str, dict[str, Callable[[], Recipe]]]:
    groups: dict[str, dict[str, Callable[[], Recipe]]] = {}
    for info in pkgutil.iter_modules(__path__):
        groups[info.name] = _recipe_functions(importlib.import_module(f"{__name__}.{info.name}"))
    return groups | {name: _recipe_functions(module) for name, module in _PLUGINS.items()}


def _recipe_functions(module: ModuleType) -> dict[str, Callable[[], Recipe]]:
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and _names_recipe(inspect.signature(function).return_annotation)
    }


def _names_recipe(annotation: Any) -> bool:
    return annotation is Recipe or (isinstance(annotation, str) and annotation.split(".")[-1] == "Recipe")


def add_plugin(module: ModuleType) -> bool:
    """Makes a plugin's recipes known, as a group named after its file.

    Returns:
        Whether the module has any.

    Raises:
        PluginError: if a name is in use, or a function gives no recipe of a known architecture.
    """
    group, functions = module.__name__.removeprefix("ferlab_plugin_"), _recipe_functions(module)
    taken = {name for names in recipe_groups().values() for name in names} | set(recipe_groups())
    if group in functions and len(functions) > 1:
        raise PluginError.at(functions[group], "it is called as its file, which is the name of all recipes in it")
    for name, function in functions.items():
        if name.startswith("baseline_"):
            raise PluginError.at(function, "names that begin with baseline_ are those of the baselines")
        if name in taken or group in taken:
            raise PluginError.at(
                function, f"a recipe or group called '{name if name in taken else group}' is there already"
            )
        recipe = _made_by_plugin(function)
        if recipe.architecture not in model_names():
            raise PluginError.at(
                function, str(UnknownNameError("model", recipe.architecture, model_names())).rstrip(".")
            )
        try:
            recipe.changed(recipe.flat_fields())
        except FerlabError as error:
            raise PluginError.at(function, str(error).rstrip(".")) from None
    if functions:
        _PLUGINS[group] = module
    return bool(functions)


def remove_plugin(group: str) -> None:
    """Forgets a plugin's recipes, if there are any in a group of that name."""
    _PLUGINS.pop(group, None)


def _made_by_plugin(function: Callable[[], Recipe]) -> Recipe:
    file = function.__code__.co_filename
    if inspect.signature(function).parameters:
        raise PluginError.at(function, "a recipe function takes no arguments")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            made = function()
    except (Exception, SystemExit) as error:
        raise PluginError.caused_by(error, file, f"{function.__name__}() must return a Recipe") from error
    if not isinstance(made, Recipe):
        raise PluginError.at(function, f"it must return a Recipe, not {type(made).__name__}")
    return made
