"""Trainings that start from the network of another run."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, train
from ferlab.data.splits import split_off
from ferlab.errors import DataError, FerlabError, ProtocolError, RecipeError, RunError
from ferlab.models import build_model, build_trainable, set_initial_weights, set_trained_weights
from ferlab.recipes import Recipe, get_recipe
from ferlab.runs import RunFolder
from ferlab.training.initial_network import open_initial_network
from tests.comparisons import write_run


def random_network(recipe: Recipe) -> keras.Model:
    """The trainable form of a network with random weights and batch statistics."""
    generator = np.random.default_rng(0)
    network = build_trainable(recipe.architecture, **recipe.model)
    network.set_weights([weight + generator.uniform(0.05, 0.1, weight.shape) for weight in network.get_weights()])
    return network


def write_network(path: Path, data: Dataset, recipe: str, **options: object) -> RunFolder:
    """Write a run folder with a random network."""
    run = RunFolder(write_run(path, data, recipe, 0, 0.5, **options))
    network = build_model(run.recipe().architecture, **run.recipe().model)
    set_trained_weights(network, random_network(run.recipe()))
    network.save(run.model_file)
    return run


def starting_from(run: RunFolder) -> Recipe:
    return run.recipe().changed({"start": str(run.path)})


def test_the_free_weights_of_a_mirrored_network_are_found_again() -> None:
    recipe = get_recipe("fernet_fast")
    trained, found = random_network(recipe), build_trainable(recipe.architecture, **recipe.model)
    plain = build_model(recipe.architecture, **recipe.model)
    set_trained_weights(plain, trained)
    set_initial_weights(found, plain)
    for expected, weight in zip(trained.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-6)
    convolution = next(layer for layer in plain.layers if isinstance(layer, keras.layers.Conv2D))
    convolution.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in convolution.get_weights()])
    with pytest.raises(ValueError, match="not those of paired channels"):
        set_initial_weights(found, plain)


@pytest.mark.slow
def test_a_training_that_changes_nothing_ends_with_the_network_of_its_start(small: Dataset, tmp_path: Path) -> None:
    start = write_network(tmp_path / "start", small, "study_newmodel")
    settings = {"epochs": 1, "batch_size": 56, "steps_per_epoch": 1, "learning_rate": 0.0, "policy": "float32"}
    run = train("study_newmodel", small, tmp_path / "run", start=str(start.path), **settings)
    before, after = (keras.models.load_model(one.model_file) for one in (start, run))
    assert run.recipe().start == str(start.path)
    for first, last in zip(before.trainable_weights, after.trainable_weights, strict=True):
        np.testing.assert_array_equal(first, last)


def test_networks_that_do_not_fit_are_refused(small: Dataset, tmp_path: Path) -> None:
    run = write_network(tmp_path / "run", small, "fair_newmodel")
    with pytest.raises(RunError, match=r"holds the architecture newmodel, and the recipe has fernet \(model.size=s"):
        open_initial_network(get_recipe("fernet_fast").changed({"start": str(run.path)}), small)
    with pytest.raises(RunError, match="is not a run folder"):
        open_initial_network(get_recipe("fernet_fast").changed({"start": "fast"}), small)
    with pytest.raises(FerlabError, match="nothing does not exist"):
        open_initial_network(run.recipe().changed({"start": "nothing"}), small)
    renamed = replace(small, class_names=("a", *small.class_names[1:]))
    with pytest.raises(RunError, match=r"was trained for the classes angry, .* has a, .* use ferlab finetune"):
        open_initial_network(starting_from(run), renamed)


def test_a_network_that_learned_images_of_a_new_random_split_is_refused(small: Dataset, tmp_path: Path) -> None:
    training = replace(small, splits=np.full(len(small), Split.TRAIN), source="images")
    first, later = (
        split_off(part, [Split.VALIDATION, Split.TEST], "all")
        for part in (training, training.where(np.arange(len(training)) > 3))
    )
    run = write_network(tmp_path / "run", first, "fair_newmodel")
    assert open_initial_network(starting_from(run), first) is not None
    with pytest.raises(DataError, match="was trained on some of its validation images"):
        open_initial_network(starting_from(run), later)


def test_networks_that_have_seen_the_new_test_images_are_refused(small: Dataset, tmp_path: Path) -> None:
    selected = write_network(tmp_path / "selected", small, "fair_newmodel", selected_on=("validation", "test"))
    with pytest.raises(ProtocolError, match="was selected on validation and test"):
        open_initial_network(starting_from(selected), small)
    run = write_network(tmp_path / "run", small, "fair_newmodel")
    environment = json.loads((run.path / "environment.json").read_text())
    environment["dataset"]["splits"]["train"]["fingerprint"] = small.take(Split.TEST).fingerprints["test"]
    (run.path / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(ProtocolError, match="was trained on the test images"):
        open_initial_network(starting_from(RunFolder(run.path)), small)


def test_a_network_with_other_layers_is_refused_and_leaves_no_run(small: Dataset, tmp_path: Path) -> None:
    run = write_network(tmp_path / "run", small, "fair_newmodel")
    build_model("fernet", size="s").save(run.model_file)
    with pytest.raises(RecipeError, match="its code has changed"):
        train(starting_from(run), small, tmp_path / "new")
    assert not RunFolder(tmp_path / "new").exists()
