"""Recipes: found by their names, changed with checked types, written and read without loss."""

import json

import pytest

from ferlab.errors import FerlabError, RecipeError, UnknownNameError
from ferlab.models import model_names, model_options
from ferlab.recipes import Recipe, find_recipes, get_recipe, recipe_groups
from ferlab.recipes.augmentation import Augmentation

ALL = [name for names in recipe_groups().values() for name in names]


def test_the_groups_of_the_first_comparison() -> None:
    groups = recipe_groups()
    assert groups["study"] == ["study_newmodel", "study_mobilenetv2", "study_resnet50", "study_vgg16"]
    assert set(groups["fair"]) >= {"fair_newmodel", "fair_mobilenetv2", "fair_resnet50", "fair_vgg16"}


@pytest.mark.parametrize("name", ALL)
def test_every_recipe(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    assert recipe.architecture in model_names()
    assert set(recipe.model) <= set(model_options(recipe.architecture))
    assert recipe.summary
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_study_recipes_alone_select_on_the_test_folder_and_confess() -> None:
    for name in ALL:
        recipe = get_recipe(name)
        assert (recipe.selection == "test_folder") == name.startswith("study_")
        assert bool(recipe.departures) == name.startswith("study_")


def test_fair_recipes_differ_in_model_and_learning_rate_alone() -> None:
    own = {"name", "summary", "architecture", "model", "learning_rate", "expected_accuracy", "expected_source"}
    shared = [
        {key: value for key, value in get_recipe(name).as_dict().items() if key not in own}
        for name in recipe_groups()["fair"]
    ]
    assert all(fields == shared[0] for fields in shared)


def test_groups_and_names_mix_without_repetition() -> None:
    names = [recipe.name for recipe in find_recipes(["study_vgg16", "study"])]
    assert names == ["study_vgg16", "study_newmodel", "study_mobilenetv2", "study_resnet50"]


def test_an_unknown_name_is_told_its_neighbor() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'study_resnet50'"):
        get_recipe("study_resnet5")
    with pytest.raises(UnknownNameError, match="Unknown recipe or group 'studdy'. Did you mean 'study'"):
        find_recipes(["studdy"])


@pytest.mark.parametrize(
    ("key", "text", "field", "value"),
    [
        ("epochs", "3", "epochs", 3),
        ("learning_rate", "1e-2", "learning_rate", 0.01),
        ("augment_validation", "yes", "augment_validation", True),
        ("policy", "float32", "policy", "float32"),
        ("expected_accuracy", "none", "expected_accuracy", None),
        ("augmentation.rotation", "15", "augmentation", Augmentation(flip=True, rotation=15.0)),
        ("model.dropout", "0", "model", {"scaling": "raw", "dropout": 0.0}),
    ],
)
def test_set(key: str, text: str, field: str, value: object) -> None:
    assert getattr(get_recipe("study_newmodel").changed({key: text}), field) == value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("epoch", "3", "Unknown recipe field 'epoch'. Did you mean 'epochs'"),
        ("epochs", "3.5", "epochs takes a value of type int, and '3.5' is none"),
        ("epochs", "many", "epochs takes a value of type int"),
        ("optimizer", "adagrad", "optimizer cannot be 'adagrad'. Choose from: adam, sgd, rmsprop"),
        ("augmentation", "on", "name one field, such as 'augmentation.flip'"),
        ("augmentation.flop", "on", "Unknown recipe field 'flop'. Did you mean 'flip'"),
        ("augmentation.flip", "perhaps", "type bool"),
        ("model.droput", "0", "Unknown option of the model 'newmodel' 'droput'. Did you mean 'dropout'"),
        ("epochs.more", "3", "cannot be set"),
    ],
)
def test_set_refuses(key: str, text: str, message: str) -> None:
    with pytest.raises(FerlabError) as caught:
        get_recipe("study_newmodel").changed({key: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "0"}, "epochs is 0, and may be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"distillation": "80"}, "distillation is 80, and may be 0 to 1"),
        ({"votes": -0.1}, "votes is -0.1"),
        ({"learning_rate": "nan"}, "learning_rate is nan"),
        ({"reduce_on_plateau.patience": "3"}, "set schedule=constant"),
    ],
)
def test_values_that_mean_nothing_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        get_recipe("fernet_s").changed(changes)


def test_values_may_fit_together_in_any_order() -> None:
    changed = get_recipe("fernet_s").changed({"reduce_on_plateau.patience": "3", "schedule": "constant"})
    assert changed.reduce_on_plateau.patience == 3
