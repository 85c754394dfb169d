"""`ferlab models`."""

import json
from typing import Any

from ferlab.cli.options import JsonOption, PluginOption, load_plugins
from ferlab.cli.output import print_models
from ferlab.json_files import SCHEMA
from ferlab.models import model_names, model_options, model_summary
from ferlab.recipes import get_recipe, recipe_groups


def models(json_: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the architectures, their options, and their size in each recipe."""
    load_plugins(plugin)
    recipes = [get_recipe(name) for names in recipe_groups().values() for name in names]
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "summary": model_summary(name),
            "options": model_options(name),
            "recipes": [recipe.name for recipe in recipes if recipe.architecture == name],
        }
        for name in model_names()
    ]
    if json_:
        print(json.dumps({"schema": SCHEMA, "models": rows}, default=str))
        return
    print_models(rows)
