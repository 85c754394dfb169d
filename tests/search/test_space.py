"""Test the search space: which fields and ranges are accepted, and the message for each mistake."""

from pathlib import Path

import optuna
import pytest

from ferlab.errors import FerlabError
from ferlab.recipes import get_recipe
from ferlab.search.space import Choice, Range, read_space

RECIPE = get_recipe("fair_newmodel")


def write(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_fields_of_all_types_are_read_and_suggested(tmp_path: Path) -> None:
    text = """
learning_rate = { min = 1e-4, max = 1e-2, log = true }
epochs = { min = 2, max = 9 }
batch_size = [16, 32]
optimizer = ["adam", "sgd"]
augmentation.flip = [true, false]
"augmentation.rotation" = { min = 0.0, max = 20.0, step = 5.0 }
[model]
dropout = [0.1, 0.5]
"""
    space = read_space(write(tmp_path, text), RECIPE)
    assert space["learning_rate"] == Range(low=1e-4, high=1e-2, log=True)
    assert space["augmentation.flip"] == Choice(values=(True, False))
    assert list(space)[-2:] == ["augmentation.rotation", "model.dropout"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        values = {field: dimension.suggest(trial, field) for field, dimension in space.items()}
        recipe = RECIPE.changed(values)
        assert isinstance(recipe.epochs, int) and 2 <= recipe.epochs <= 9
        assert recipe.augmentation.rotation in (0, 5, 10, 15, 20)
        assert all(0 <= dimension.position(values[field]) <= 1 for field, dimension in space.items())


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("epochs = { min = 0, max = 9 }", True),
        ("mixup = { min = 0, max = 1 }", False),
        ("mixup = { min = 0, max = 4, step = 2 }", True),
        ("model.dropout = { min = 0, max = 1 }", False),
        ("augmentation.rotation = { min = 0.0, max = 20.0 }", False),
    ],
)
def test_whole_bounds_are_those_of_a_share_as_well(text: str, whole: bool, tmp_path: Path) -> None:
    recipe = RECIPE.changed({"epochs": 2})
    [(field, dimension)] = read_space(write(tmp_path, text.replace("= 0, max = 9", "= 1, max = 9")), recipe).items()
    assert isinstance(dimension, Range) and dimension.whole == whole
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    values = {dimension.suggest(study.ask(), field) for _ in range(20)}
    assert all(float(value).is_integer() for value in values) == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rte = [1e-3, 1e-2]", "Did you mean 'learning_rate'"),
        ("model.dropuot = [0.1, 0.2]", "Did you mean 'dropout'"),
        ("batch_size = { min = 16.0, max = 64.0 }", "batch_size must be an int"),
        ("label_smoothing = { min = 0.5, max = 1.5 }", "label_smoothing must be between 0 and 1, got 1.5"),
        ('optimizer = ["adam", "adamw"]', "optimizer must be one of adam, sgd, rmsprop"),
        ('selection = ["validation", "test_folder"]', "would select the best epoch on the test split"),
        ("learning_rate = { min = 1e-2, max = 1e-4 }", "learning_rate: min and max must be numbers, and min below max"),
        ("learning_rate = { min = 0.0, max = 1.0, log = true }", "begins above 0"),
        ("learning_rate = { min = 0.1, max = 1.0, step = -1.0 }", "step must be above 0"),
        ("learning_rate = { min = 0.1 }", "expected a list of values, or a range"),
        ("learning_rate = 0.1", "expected a list of values, or a range"),
        ("learning_rate = [0.1]", "two or more"),
        ("learning_rate = ", "cannot be read as TOML"),
        ("", "names no field"),
    ],
)
def test_each_mistake_has_a_message(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FerlabError, match=message):
        read_space(write(tmp_path, text), RECIPE)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FerlabError, match=r"none\.toml cannot be read"):
        read_space(tmp_path / "none.toml", RECIPE)
