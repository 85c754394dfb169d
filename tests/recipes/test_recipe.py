"""Tests of recipes: finding them by name, changing fields with validation, and a lossless round trip to JSON."""

import json
import subprocess
import sys

import pytest

from ferlab.errors import FerlabError, RecipeError, UnknownNameError
from ferlab.models import model_names, model_options
from ferlab.recipes import Recipe, find_recipes, get_recipe, recipe_groups
from ferlab.recipes.augmentation import Augmentation

ALL = [name for names in recipe_groups().values() for name in names]


def test_groups_contain_the_recipes_of_the_study() -> None:
    groups = recipe_groups()
    assert groups["study"] == ["study_newmodel", "study_mobilenetv2", "study_resnet50", "study_vgg16"]
    assert set(groups["fair"]) >= {"fair_newmodel", "fair_mobilenetv2", "fair_resnet50", "fair_vgg16"}


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_is_valid_and_survives_json(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name
    assert recipe.architecture in model_names()
    assert set(recipe.model) <= set(model_options(recipe.architecture))
    assert recipe.summary
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_only_study_recipes_select_on_the_test_folder_and_list_deviations() -> None:
    for recipe in map(get_recipe, ALL):
        assert (recipe.selection == "test_folder") == (recipe.group == "study")
        assert bool(recipe.deviations) == (recipe.group == "study")


def test_recipes_of_earlier_versions_are_read() -> None:
    recipe = get_recipe("study_newmodel")
    values = recipe.as_dict()
    old = values | {"departures": values.pop("deviations"), "averaging": values.pop("ema")}
    assert Recipe.from_dict(json.loads(json.dumps(old))) == recipe


def test_unknown_fields_and_wrong_values_are_refused_when_reading() -> None:
    values = get_recipe("fernet_s").as_dict()
    with pytest.raises(UnknownNameError, match="Unknown recipe field 'flop'"):
        Recipe.from_dict(values | {"augmentation": {"flop": True}})
    with pytest.raises(RecipeError, match="epochs must be an int, got 'many'"):
        Recipe.from_dict(values | {"epochs": "many"})
    with pytest.raises(RecipeError, match="architecture is missing"):
        Recipe.from_dict({"epochs": 3})


def test_recipes_are_listed_without_pydantic() -> None:
    script = (
        "import sys; sys.modules['pydantic'] = None; import ferlab.recipes as r; print(r.get_recipe('fernet_s').name)"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert finished.stdout.strip() == "fernet_s", finished.stderr


def test_fair_recipes_differ_only_in_model_and_learning_rate() -> None:
    own = {"name", "summary", "architecture", "model", "learning_rate", "expected_accuracy", "expected_source"}
    shared = [
        {key: value for key, value in get_recipe(name).as_dict().items() if key not in own}
        for name in recipe_groups()["fair"]
    ]
    assert all(fields == shared[0] for fields in shared)


def test_groups_and_names_are_expanded_without_repetition() -> None:
    names = [recipe.name for recipe in find_recipes(["study_vgg16", "study"])]
    assert names == ["study_vgg16", "study_newmodel", "study_mobilenetv2", "study_resnet50"]


def test_an_unknown_name_suggests_the_closest_match() -> None:
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
        ("teachers", "one,two", "teachers", ("one", "two")),
        ("model.dropout", "0", "model", {"scaling": "raw", "dropout": 0.0}),
    ],
)
def test_values_are_converted_to_the_type_of_the_field(key: str, text: str, field: str, value: object) -> None:
    assert getattr(get_recipe("study_newmodel").changed({key: text}), field) == value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("epoch", "3", "Unknown recipe field 'epoch'. Did you mean 'epochs'"),
        ("epochs", "3.5", "epochs must be an int, got '3.5'"),
        ("epochs", "many", "epochs must be an int, got 'many'"),
        ("optimizer", "adagrad", "optimizer must be one of adam, sgd, rmsprop, got 'adagrad'"),
        ("augmentation", "on", "Name one field, such as 'augmentation.flip'"),
        ("augmentation.flop", "on", "Unknown recipe field 'flop'. Did you mean 'flip'"),
        ("augmentation.flip", "perhaps", "augmentation.flip must be a bool, got 'perhaps'"),
        ("model.droput", "0", "Unknown option of the model 'newmodel' 'droput'. Did you mean 'dropout'"),
        ("epochs.more", "3", "cannot be set"),
        ("optmizer.name", "adam", "Unknown recipe field 'optmizer.name'"),
        ("name", "mine", "Unknown recipe field 'name'"),
        ("model.scaling", 3, "model.scaling must be a str, got 3"),
        ("augmentation.rotation", "-1", "augmentation.rotation must be at least 0, got -1"),
    ],
)
def test_invalid_changes_are_refused(key: str, text: object, message: str) -> None:
    with pytest.raises(FerlabError) as caught:
        get_recipe("study_newmodel").changed({key: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "0"}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"distillation": "80"}, "distillation must be between 0 and 1, got 80"),
        ({"learning_rate": "nan"}, "learning_rate must be a finite number, got nan"),
        ({"reduce_on_plateau.patience": "3"}, "Set schedule=constant"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        get_recipe("fernet_s").changed(changes)


def test_related_values_can_be_changed_in_any_order() -> None:
    changed = get_recipe("fernet_s").changed({"reduce_on_plateau.patience": "3", "schedule": "constant"})
    assert changed.reduce_on_plateau.patience == 3
