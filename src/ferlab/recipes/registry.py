"""Find recipes by name and group, in the modules of this folder and in plugins."""

import contextlib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ferlab.errors import FerlabError, PluginError, UnknownNameError
from ferlab.models import model_names
from ferlab.models.registry import find_functions, is_from_plugin, plugin_modules
from ferlab.recipes.recipe import Recipe

BASELINE = "baseline"  # group of the baselines in a comparison, and first word of their names

RecipeFunction = Callable[[], Recipe]


def recipe_groups() -> dict[str, list[str]]:
    """List the names of all recipes by group, in the order of their definition."""
    return {group: list(functions) for group, functions in _functions().items()}


def get_recipe(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises:
        UnknownNameError: if the recipe does not exist.
    """
    functions_by_group = _functions()
    for group, functions in functions_by_group.items():
        if name in functions:
            return replace(_call(functions[name]), name=name, group=group)
    raise UnknownNameError("recipe", name, [name for functions in functions_by_group.values() for name in functions])


def find_recipes(names: list[str]) -> list[Recipe]:
    """Return the recipes of names and groups, each once, in order.

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


def check_plugin_recipes(plugin: str) -> bool:
    """Check the recipes of a loaded plugin.

    Returns:
        Whether the plugin defines any.

    Raises:
        PluginError: if a name is taken, or a function does not return a valid recipe.
    """
    others, functions = _functions(without=plugin), find_functions(plugin_modules()[plugin], returning="Recipe")
    taken = {name for group, members in others.items() for name in (group, *members)}
    if plugin in functions and len(functions) > 1:
        raise PluginError.at(functions[plugin], "its name is the file's, which is the name of the whole group")
    for name, function in functions.items():
        if BASELINE in (plugin, name.partition("_")[0]):
            raise PluginError.at(function, f"'{BASELINE}' and names that begin with it are reserved for baselines")
        for used in (name, plugin):
            if used in taken:
                raise PluginError.at(function, f"a recipe or group named '{used}' already exists")
        _check(function)
    return bool(functions)


def _functions(without: str = "") -> dict[str, dict[str, RecipeFunction]]:
    """Find all recipe functions by group, except those of one plugin."""
    package = __name__.rpartition(".")[0]
    names = (f"{package}.{info.name}" for info in pkgutil.iter_modules([str(Path(__file__).parent)]))
    package_modules = [(name.rpartition(".")[2], importlib.import_module(name)) for name in names if name != __name__]
    plugins = [(name, module) for name, module in plugin_modules().items() if name != without]
    found = [(group, find_functions(module, returning="Recipe")) for group, module in (*package_modules, *plugins)]
    return {group: functions for group, functions in found if functions}


def _check(function: RecipeFunction) -> None:
    recipe = _call(function)
    try:
        if recipe.architecture not in model_names():
            raise UnknownNameError("model", recipe.architecture, model_names())
        recipe.changed(recipe.flat_fields())
    except FerlabError as error:
        raise PluginError.at(function, str(error).rstrip(".")) from None


def _call(function: RecipeFunction) -> Recipe:
    """Call a recipe function; errors in a plugin name its file and line."""
    if not is_from_plugin(function):
        return function()
    if inspect.signature(function).parameters:
        raise PluginError.at(function, "a recipe function takes no arguments")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            recipe = function()
    except (Exception, SystemExit) as error:
        contract = f"{function.__name__}() must return a Recipe"
        raise PluginError.caused_by(error, function.__code__.co_filename, contract) from error
    if not isinstance(recipe, Recipe):
        raise PluginError.at(function, f"it must return a Recipe, not {type(recipe).__name__}")
    return recipe
