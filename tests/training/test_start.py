"""Trainings that start from the network of another run."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, train
from ferlab.errors import ProtocolError, RecipeError, RunError
from ferlab.models import build_model, build_trainable, predict_logits, set_trained_weights
from ferlab.recipes import get_recipe
from ferlab.runs import RunFolder
from ferlab.training.start import open_start, start_from
from tests.comparisons import write_run


def write_network(path: Path, data: Dataset, recipe: str, **options: object) -> RunFolder:
    """Write a run folder with a network of random weights and batch statistics."""
    run = RunFolder(write_run(path, data, recipe, 0, 0.5, **options))
    settings = run.recipe()
    keras.utils.set_random_seed(0)
    trained = build_trainable(settings.architecture, **settings.model)
    trained.set_weights([np.random.default_rng(0).uniform(0.1, 0.3, weight.shape) for weight in trained.get_weights()])
    network = build_model(settings.architecture, **settings.model)
    set_trained_weights(network, trained)
    network.save(run.model_file)
    return run


def test_a_mirrored_network_starts_with_the_function_of_the_trained_one(small: Dataset, tmp_path: Path) -> None:
    run = write_network(tmp_path / "run", small, "fernet_fast")
    recipe = get_recipe("fernet_fast").changed({"start": str(run.path)})
    start = open_start(recipe, small)
    assert start is not None
    model = start_from(build_trainable(recipe.architecture, **recipe.model), start)
    expected = predict_logits(keras.models.load_model(run.model_file), small.images[:4])
    np.testing.assert_allclose(predict_logits(model, small.images[:4]), expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.01  # the network tells images or classes apart


def test_a_recipe_without_a_start_has_none(small: Dataset) -> None:
    assert open_start(get_recipe("fair_newmodel"), small) is None


@pytest.mark.slow
def test_a_training_that_changes_nothing_ends_with_the_weights_of_its_start(small: Dataset, tmp_path: Path) -> None:
    start = write_network(tmp_path / "start", small, "study_newmodel")
    settings = {
        "epochs": 1,
        "batch_size": 56,
        "steps_per_epoch": 1,
        "learning_rate": 0.0,
        "policy": "float32",
        "start": str(start.path),
    }
    run = train("study_newmodel", small, tmp_path / "run", **settings)
    before, after = (keras.models.load_model(one.model_file).trainable_weights for one in (start, run))
    assert run.recipe().start == str(start.path)
    for first, last in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, last)


def test_networks_that_do_not_fit_are_refused(small: Dataset, tmp_path: Path) -> None:
    run = write_network(tmp_path / "run", small, "fernet_s")
    other_options = get_recipe("fernet_fast").changed({"start": str(run.path)})
    with pytest.raises(RunError, match=r"fernet \(model.size=s\), and the recipe has .*model.mirrored=True"):
        open_start(other_options, small)
    with pytest.raises(RunError, match="does not contain a trained model"):
        open_start(get_recipe("fernet_s").changed({"start": str(tmp_path)}), small)
    on_test = write_network(tmp_path / "test", small, "fernet_s", selected_on=("validation", "test"))
    with pytest.raises(ProtocolError, match="was selected on validation and test"):
        open_start(get_recipe("fernet_s").changed({"start": str(on_test.path)}), small)


def test_a_network_of_another_structure_is_refused(small: Dataset, tmp_path: Path) -> None:
    run = write_network(tmp_path / "run", small, "fair_newmodel")
    build_model("fernet", size="s").save(run.model_file)
    recipe = get_recipe("fair_newmodel").changed({"start": str(run.path)})
    start = open_start(recipe, small)
    assert start is not None
    with pytest.raises(RecipeError, match="trained by another version of ferlab"):
        start_from(build_trainable(recipe.architecture, **recipe.model), start)
