"""Recipes, one function each.

Every public function in a module of this folder that is annotated `-> Recipe` is a recipe, named after the function;
its group is named after the module.
"""

from ferlab.recipes.recipe import EarlyStopping, Recipe, ReduceOnPlateau
from ferlab.recipes.registry import find_recipes, get_recipe, recipe_groups

__all__ = ["EarlyStopping", "Recipe", "ReduceOnPlateau", "find_recipes", "get_recipe", "recipe_groups"]
