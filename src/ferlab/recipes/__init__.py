"""The recipes. One module a family; every public function in it that returns a `Recipe` is one, named after it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace

from ferlab.errors import UnknownNameError
from ferlab.recipes.recipe import EarlyStopping, Recipe, ReduceOnPlateau

__all__ = ["EarlyStopping", "Recipe", "ReduceOnPlateau", "find_recipes", "get_recipe", "recipe_groups"]


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
            return replace(functions[name](), name=name, group=group)
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
        module = importlib.import_module(f"{__name__}.{info.name}")
        groups[info.name] = {
            name: function
            for name, function in vars(module).items()
            if inspect.isfunction(function)
            and function.__module__ == module.__name__
            and not name.startswith("_")
            and inspect.signature(function).return_annotation is Recipe
        }
    return groups
