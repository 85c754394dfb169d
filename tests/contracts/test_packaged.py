"""Every network in the package is what its card says, and every other name gets an error that lists them."""

import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Predictor
from ferlab.cli import app
from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError, FerlabError
from ferlab.evaluation.trained_model import open_model
from ferlab.predict.artifact import SCHEMA
from ferlab.predict.packaged import DEFAULT_MODEL, NETWORKS, NetworkCard, packaged_file


@pytest.mark.parametrize("card", NETWORKS, ids=lambda card: card.name)
def test_a_network_is_what_its_card_says(card: NetworkCard) -> None:
    artifact = Predictor(card.name, detector="none").artifact
    assert (artifact.path, artifact.metadata["target"], artifact.class_names) == (card.file, card.target, EMOTIONS)
    assert artifact.metadata["schema"] == SCHEMA
    assert np.isclose(sum(artifact.metadata["class_shares"]), 1)
    assert open_model(card.name).provenance.target == card.target
    assert card.summary


def test_the_default_is_one_of_them() -> None:
    assert len({card.name for card in NETWORKS}) == len(NETWORKS)
    assert Predictor(detector="none").artifact.path == packaged_file("default") == packaged_file(DEFAULT_MODEL)


def test_a_name_that_is_not_there_gets_an_error_that_lists_the_networks() -> None:
    with pytest.raises(ArtifactError, match="other cannot be read: .*Pass a network in the package .*'fer2013'"):
        Predictor("other")
    with pytest.raises(FerlabError, match="other does not exist. Pass a run folder.*or a network in the package"):
        open_model("other")
    result = CliRunner().invoke(app, ["predict", "photo.jpg", "--model", "other"])
    assert "photo.jpg" in str(result.exception) or "fer2013" in str(result.exception)
