"""Tests of model statistics: the file in the package matches the models."""

import pytest

from ferlab.recipes import get_recipe, recipe_groups
from ferlab.recipes.model_stats import (
    count_model_stats,
    estimate_disk_bytes,
    image_passes,
    load_model_stats,
    model_stats,
)

ALL = [name for names in recipe_groups().values() for name in names]


def test_every_recipe_has_model_statistics() -> None:
    assert set(load_model_stats()) == set(ALL)


@pytest.mark.parametrize("name", sorted(name for name in ALL if not name.endswith("_imagenet")))
def test_the_file_matches_the_models(name: str) -> None:
    assert count_model_stats(get_recipe(name)) == load_model_stats()[name]


def test_another_architecture_has_its_own_statistics() -> None:
    recipe = get_recipe("fair_newmodel")
    assert model_stats(recipe) == load_model_stats()["fair_newmodel"]
    changed = recipe.changed({"architecture": "fernet"})
    assert model_stats(changed).parameters == load_model_stats()["fernet_s"].parameters


def test_image_passes() -> None:
    assert image_passes(get_recipe("study_resnet50"), 28709) == 6 * 59 * 32
    assert image_passes(get_recipe("study_newmodel"), 28709) == 15 * 28709
    assert len({image_passes(get_recipe(name), 28709) for name in recipe_groups()["fair"]}) == 1


def test_disk_space_covers_model_weights_and_optimizer_state() -> None:
    stored = 3 * 4_478_727 + 3 * 4_474_759  # model, best and last weights; two moments and the EMA
    assert estimate_disk_bytes(get_recipe("fair_newmodel")) == 4 * stored
