"""`ferlab recipes`."""

import json
from typing import Annotated

import typer

from ferlab.cli.options import JsonOption, PluginOption, load_plugins
from ferlab.cli.output import print_recipe, print_recipes, recipe_row
from ferlab.json_files import SCHEMA
from ferlab.recipes import get_recipe, recipe_groups


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show only this recipe, with all its fields.")
    ] = None,
    json_: JsonOption = False,
    plugin: PluginOption = None,
) -> None:
    """List the recipes: parameters, multiply-adds, image passes and expected accuracy on FER2013."""
    load_plugins(plugin)
    if name and json_:
        print(json.dumps({"schema": SCHEMA, **recipe_row(name), "fields": get_recipe(name).as_dict()}))
        return
    if name:
        print_recipe(name)
        return
    rows = [recipe_row(recipe) for group in recipe_groups().values() for recipe in group]
    if json_:
        print(json.dumps({"schema": SCHEMA, "recipes": rows}))
        return
    print_recipes(rows)
