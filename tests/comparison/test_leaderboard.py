"""Leaderboards: ranks, ties, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split
from ferlab.comparison.leaderboard import Leaderboard, make_leaderboard
from ferlab.errors import FerlabError
from ferlab.evaluation.predictions import write_predictions
from ferlab.json_files import read_result
from ferlab.report import write_leaderboard
from tests.artifacts import linear_artifact


def write_system(path: Path, part: Dataset, accuracy: float, seed: int) -> Path:
    """Write predictions of which a given share is correct."""
    correct = np.random.default_rng(seed).permutation(len(part)) < round(accuracy * len(part))
    predicted = np.where(correct, part.labels, (part.labels + 1) % 7)
    write_predictions(path, part.names, 0.05 + 0.65 * np.eye(7)[predicted], part.class_names)
    return path


@pytest.fixture
def systems(demo: Dataset, tmp_path: Path) -> list[Path]:
    part = demo.take(Split.TEST)
    shares = {"good": 0.8, "same": 0.79, "bad": 0.3}
    files = [
        write_system(tmp_path / f"{name}.npz", part, share, seed) for seed, (name, share) in enumerate(shares.items())
    ]
    linear_artifact(tmp_path / "linear.onnx", protocol={"selected_on": ["validation"]})
    return [*files, tmp_path / "linear.onnx"]


def test_systems_are_ranked_with_ties(demo: Dataset, systems: list[Path]) -> None:
    board = make_leaderboard(systems, demo, "test")
    assert [row.name for row in board.standings] == ["good", "same", "bad", "linear"]
    good, same, bad, linear = board.standings
    assert (good.rank, good.tied_with, same.tied_with) == (1, ("same",), ("good",))
    assert good.accuracy == pytest.approx(0.8, abs=0.005)
    assert good.interval[0] < good.accuracy < good.interval[1]
    assert "good" not in bad.tied_with
    assert (bad.selected_on, linear.selected_on) == ((), ("validation",))
    assert board.images == len(demo.take(Split.TEST))


def test_a_leaderboard_is_written_in_three_formats(demo: Dataset, systems: list[Path], tmp_path: Path) -> None:
    board = make_leaderboard(systems, demo, "test")
    page = write_leaderboard(board, tmp_path / "out").read_text()
    text = (tmp_path / "out" / "leaderboard.md").read_text()
    assert read_result(Leaderboard, tmp_path / "out" / "leaderboard.json") == board
    assert json.loads((tmp_path / "out" / "leaderboard.json").read_text())["split"] == "test"
    for row in board.standings:
        assert f"{100 * row.accuracy:.2f}" in page
        assert re.search(rf"\| {row.rank} \| {row.name} \| {100 * row.accuracy:.2f} ", text)
    assert "<svg" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", page)


def test_names_must_differ_and_one_system_is_no_ranking(demo: Dataset, systems: list[Path], tmp_path: Path) -> None:
    with pytest.raises(FerlabError, match="two systems or more"):
        make_leaderboard(systems[:1], demo, "test")
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "good.npz"
    twin.write_bytes(systems[0].read_bytes())
    with pytest.raises(FerlabError, match="are both called 'good'"):
        make_leaderboard([systems[0], twin], demo, "test")


def test_no_accuracy_without_copies_is_claimed_for_unknown_training_images(
    demo: Dataset, systems: list[Path], tmp_path: Path
) -> None:
    """The copies of the scored images in them are unknown."""
    linear_artifact(tmp_path / "elsewhere.onnx", fingerprints={"train": "of other images"})
    board = make_leaderboard([systems[0], tmp_path / "elsewhere.onnx"], demo, "test")
    assert {row.name: row.leak_free_accuracy is None for row in board.standings} == {"good": False, "elsewhere": True}
