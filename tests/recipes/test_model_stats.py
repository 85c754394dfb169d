"""The costs in the package are those of the models, and estimates grow with the work."""

import pytest

from ferlab.recipes import get_recipe, recipe_groups
from ferlab.recipes.model_stats import count_costs, estimate_disk, estimate_seconds, image_passes, known_costs

ALL = [name for names in recipe_groups().values() for name in names]


def test_every_recipe_is_listed() -> None:
    assert set(known_costs()) == set(ALL)


@pytest.mark.parametrize("name", sorted(name for name in ALL if not name.endswith("_imagenet")))
def test_known_costs_are_true(name: str) -> None:
    assert count_costs(get_recipe(name)) == known_costs()[name]


def test_image_passes() -> None:
    assert image_passes(get_recipe("study_resnet50"), 28709) == 6 * 59 * 32
    assert image_passes(get_recipe("study_newmodel"), 28709) == 15 * 28709
    assert len({image_passes(get_recipe(name), 28709) for name in recipe_groups()["fair"]}) == 1


def test_estimates_grow_with_the_work() -> None:
    recipe = get_recipe("fair_newmodel")
    assert estimate_seconds(recipe.changed({"epochs": 40}), 28709) > 1.5 * estimate_seconds(recipe, 28709)
    stored = 3 * 4_478_727 + 3 * 4_474_759  # model, best and last weights; two moments and the average
    assert estimate_disk(recipe) == 4 * stored
