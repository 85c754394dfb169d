"""The predictor: crops of any size and colour."""

from pathlib import Path

import numpy as np
import pytest

from ferlab import FerlabError, Predictor
from ferlab.predict.crops import prepare
from tests.artefacts import linear_artefact

GREY = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    linear_artefact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx")


def test_each_crop_gets_an_answer_of_its_own(predictor: Predictor) -> None:
    first, second = predictor.classify([GREY, 255 - GREY])
    assert first != second
    assert first.confidence == max(first.probabilities.values()) == first.probabilities[first.emotion]
    assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert predictor.classify([GREY]) == [first]
    assert predictor.classify([]) == []


def test_grey_and_colour_are_the_same_picture() -> None:
    np.testing.assert_array_equal(prepare(GREY[..., None]), GREY)
    np.testing.assert_array_equal(prepare(np.stack([GREY] * 3, axis=2)), GREY)


def test_colours_are_red_green_blue() -> None:
    """Weights of ITU-R BT.601: red counts 0.299, blue 0.114."""
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 255
    assert prepare(red).mean() == pytest.approx(76, abs=1)


@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (500, 300), (47, 2000, 3)])
def test_any_size_is_scaled(shape: tuple[int, ...]) -> None:
    scaled = prepare(np.full(shape, 77, np.uint8))
    assert scaled.shape == (48, 48)
    assert set(np.unique(scaled)) == {77}


def test_what_is_no_picture_is_refused(predictor: Predictor) -> None:
    for crop in (GREY.astype(float), GREY[0], np.zeros((0, 5), np.uint8), np.zeros((5, 5, 2), np.uint8)):
        with pytest.raises(FerlabError, match="A crop must be"):
            predictor.classify([crop])
