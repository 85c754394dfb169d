"""FER+ as a target: labels and distributions as by hand, and every omitted image counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset, Split, evaluate, load_dataset, train
from ferlab.cli import app
from ferlab.comparison.leaderboard import make_leaderboard
from ferlab.data.ferplus import VOTES, kaggle_rows
from ferlab.data.ferplus_target import vote_distribution, with_ferplus_target
from ferlab.emotions import CONTEMPT, EMOTIONS, FERPLUS, Target
from ferlab.errors import DataError, FerlabError, ProtocolError, UnknownNameError
from ferlab.export import export
from ferlab.json_files import read_json
from ferlab.predict import Artifact
from ferlab.recipes import get_recipe
from ferlab.training.targets import image_targets
from tests.artifacts import linear_artifact
from tests.audit.builders import dataset, textured
from tests.data.builders import write_kaggle_layout

NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness", "no face": "NF"}  # others are named as in the table


def voted(*rows: dict[str, int], splits: list[Split] | None = None) -> Dataset:
    """Build one angry image per row of votes."""
    votes = np.zeros((len(rows), len(VOTES)), np.uint8)
    for index, row in enumerate(rows):
        for name, count in row.items():
            votes[index, VOTES.index(NAMES.get(name, name))] = count
    images = textured(np.random.default_rng(0), len(rows))
    return dataset(images, [0] * len(rows), splits or [Split.TRAIN] * len(rows), votes=votes)


def taught(row: dict[str, int], contempt: bool = False) -> dict[str, float]:
    """Return the shares that a training image teaches; none if it is omitted."""
    data = with_ferplus_target(voted(row), contempt=contempt)
    if not len(data):
        return {}
    shares = vote_distribution(data)[0]
    assert shares[data.labels[0]] == shares.max()
    return {name: round(float(share), 3) for name, share in zip(data.class_names, shares, strict=True) if share}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"happy": 10}, {"happy": 1.0}),
        ({"happy": 8, "neutral": 1, "sad": 1}, {"happy": 1.0}),  # single votes are outliers
        ({"sad": 6, "neutral": 4}, {"sad": 0.6, "neutral": 0.4}),
        ({"sad": 5, "neutral": 3, "fear": 2}, {"sad": 0.625, "neutral": 0.375}),  # 8 of 10 are three quarters
        ({"sad": 4, "neutral": 2, "fear": 2, "angry": 2}, {}),  # four classes
        ({"unknown": 5, "sad": 3, "fear": 2}, {}),
        ({"no face": 10}, {}),
        ({"sad": 6, "unknown": 4}, {"sad": 1.0}),
        ({"sad": 4, "unknown": 3, "fear": 3}, {"sad": 0.571, "fear": 0.429}),
        ({"sad": 5, "unknown": 5}, {}),  # at most half of the votes
        ({"contempt": 6, "neutral": 4}, {}),
        ({"neutral": 6, "contempt": 4}, {"neutral": 1.0}),
        ({}, {}),
    ],
)
def test_a_training_image_teaches_its_strongest_classes(row: dict[str, int], expected: dict[str, float]) -> None:
    assert taught(row) == expected


def test_contempt_is_the_eighth_class() -> None:
    assert taught({"contempt": 6, "neutral": 4}, contempt=True) == {"neutral": 0.4, "contempt": 0.6}
    assert with_ferplus_target(voted({"happy": 10}), contempt=True).class_names == (*EMOTIONS, CONTEMPT)


def test_scored_images_need_a_majority_and_omitted_images_are_counted() -> None:
    rows = [{"sad": 5, "neutral": 5}, {"sad": 6, "neutral": 4}, {"no face": 9}, {"contempt": 9}, {"unknown": 9}]
    data = voted(*rows, *rows, splits=[Split.VALIDATION] * 5 + [Split.TEST] * 5)
    found = with_ferplus_target(data)
    assert [(EMOTIONS[label], Split(split)) for label, split in zip(found.labels, found.splits, strict=True)] == [
        ("sad", Split.VALIDATION),
        ("sad", Split.TEST),
    ]
    assert found.omitted == set(data.names) - set(found.names)
    assert found.target == found.summary().target == Target.FERPLUS
    assert found.notes == (
        "FER+: 8 images are omitted (2 without a majority, 2 with an unknown emotion, 2 without a face, "
        "2 with contempt)",
    )


def test_targets_are_smoothed_distributions() -> None:
    data = with_ferplus_target(voted({"sad": 6, "neutral": 4}, {"happy": 10}))
    recipe = get_recipe("fair_newmodel").changed({"label_smoothing": 0.1})
    np.testing.assert_allclose(image_targets(recipe, data), 0.9 * vote_distribution(data) + 0.1 / 7, rtol=1e-6)


@pytest.fixture(scope="module")
def fer2013(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Synthetic faces in the Kaggle layout, and a table with votes for them: each is also voted to be neutral."""
    folder = tmp_path_factory.mktemp("ferplus")
    names = write_kaggle_layout(folder / "faces", demo, {Split.TRAIN: 70, Split.VALIDATION: 35})
    votes = np.zeros((35_887, len(VOTES)), int)
    for name, emotion in names.items():
        votes[kaggle_rows()[name], VOTES.index(FERPLUS[emotion])] += 7
        votes[kaggle_rows()[name], VOTES.index("neutral")] += 3
    lines = [",".join(VOTES), *(",".join(map(str, row)) for row in votes)]
    (folder / "votes.csv").write_text("\n".join(lines))
    return folder / "faces", folder / "votes.csv"


def test_a_run_speaks_of_its_target_from_training_to_prediction(fer2013: tuple[Path, Path], tmp_path: Path) -> None:
    """Its files, evaluations and artifacts name it, and commands read the data with it."""
    faces, votes = fer2013
    data = load_dataset(faces, ferplus=votes, target="ferplus")
    assert (data.target, len(data)) == (Target.FERPLUS, 105)
    options = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 16, "policy": "float32"}
    run = train("fernet_s_quick", data, tmp_path / "run", **options)
    result = run.result()
    assert result is not None and result.validation is not None
    assert (result.target, result.validation.target, run.dataset().target) == (Target.FERPLUS,) * 3
    assert read_json(run.path / "config.json")["target"] == "ferplus"
    command = ["evaluate", str(run.path), "--data", str(faces), "--ferplus", str(votes)]
    assert CliRunner().invoke(app, command).stdout.startswith("target ferplus\n")
    told = CliRunner().invoke(app, [*command, "--target", "fer2013"])
    assert told.stdout.startswith("target fer2013; the model learned ferplus\n")
    assert read_json(run.path / "result.json")["validation"]["target"] == "ferplus"  # not replaced by the other score
    missing = CliRunner().invoke(app, command[:-2])
    assert isinstance(missing.exception, DataError) and "Pass fer2013new.csv with --ferplus" in str(missing.exception)
    export(run, data, tmp_path / "model.onnx")
    assert Artifact(tmp_path / "model.onnx").metadata["target"] == "ferplus"
    assert evaluate(tmp_path / "model.onnx", data).learned == Target.FERPLUS


def test_models_of_two_targets_are_not_ranked_together(fer2013: tuple[Path, Path], tmp_path: Path) -> None:
    """Unless one target is chosen, which the leaderboard then names."""
    for name in ("fer2013", "ferplus"):
        linear_artifact(tmp_path / f"{name}.onnx", target=name)
    models = [str(tmp_path / f"{name}.onnx") for name in ("fer2013", "ferplus")]
    command = ["leaderboard", *models, "--data", str(fer2013[0]), "--ferplus", str(fer2013[1]), "--out", str(tmp_path)]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, ProtocolError) and "different targets" in str(refused.exception)
    assert CliRunner().invoke(app, [*command, "--target", "ferplus"]).exit_code == 0
    assert "target ferplus" in (tmp_path / "leaderboard.md").read_text()
    board = make_leaderboard(models, load_dataset(fer2013[0]))
    assert {row.name: row.learned for row in board.standings} == {"fer2013": "fer2013", "ferplus": "ferplus"}
    assert board.dataset.target == Target.FER2013


def test_targets_that_do_not_fit_the_data_are_refused(fer2013: tuple[Path, Path]) -> None:
    for source, options, kind, message in [
        ("demo", {"target": "ferplus"}, DataError, "demo is not FER2013"),
        (fer2013[0], {"target": "ferplus"}, DataError, "Pass fer2013new.csv with --ferplus"),
        (fer2013[0], {"contempt": True}, DataError, "Add --target ferplus"),
        (fer2013[0], {"target": "fer+"}, UnknownNameError, "Unknown target 'fer\\+'"),
    ]:
        with pytest.raises(kind, match=message):
            load_dataset(source, **options)
    assert issubclass(UnknownNameError, FerlabError)


@pytest.mark.real_data
def test_the_images_that_remain_of_fer2013(fer2013_files: tuple[Path, Path]) -> None:
    images, votes = fer2013_files
    data = load_dataset(images, ferplus=votes, target="ferplus")
    assert [len(data.take(split)) for split in (Split.TRAIN, Split.VALIDATION)] == [27_796, 3_186]
    assert replace(data, target=None).fingerprints == data.fingerprints
