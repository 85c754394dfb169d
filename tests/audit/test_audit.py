"""The audit finds every planted fault and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from ferlab import FerlabError, Split, load_dataset
from ferlab.audit import REASONS, Audit, audit
from ferlab.audit.summary import Across, ExactDuplicates, count_exact
from tests.artifacts import linear_artifact
from tests.audit.builders import SIZE, dataset, planted, textured


@pytest.fixture(scope="module")
def found() -> Audit:
    return audit(planted())


def across(train_validation: int | None, train_test: int | None, validation_test: int | None) -> Across:
    return {"train-validation": train_validation, "train-test": train_test, "validation-test": validation_test}


def positions(found: Audit, reason: str) -> list[tuple[int, int | None]]:
    return [(item.index, item.partner) for item in found.suspicions if item.reason == reason]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("exact copy", [(120, 0)]),
        ("copy across splits", [(121, 3), (122, 4)]),
        ("conflicting labels", [(4, 122), (122, 4)]),
        ("mirrored copy", [(123, 6)]),
        ("blank", [(126, None)]),
        ("not a photo", [(127, None)]),
        ("not a face", []),
        ("label without votes", []),
        ("likely label error", []),
    ],
)
def test_each_planted_fault_is_found(found: Audit, reason: str, expected: list[tuple[int, int | None]]) -> None:
    assert positions(found, reason) == expected


def test_near_copies_are_found_with_their_similarity(found: Audit) -> None:
    """The mirror image of image 6 is also a near copy, with similarity 1."""
    assert sorted(positions(found, "near copy")) == [(123, 6), (124, 9), (125, 12)]
    scores = {item.index: item.score for item in found.suspicions if item.reason == "near copy"}
    assert scores[123] == pytest.approx(1, abs=1e-5)
    assert 0.6 <= min(scores[124], scores[125]) <= max(scores[124], scores[125]) < 0.999


def test_a_symmetric_pair_is_one_pair() -> None:
    """It is found as it is, and mirrored."""
    generator = np.random.default_rng(0)
    half = textured(generator, 1)[0, :, :24]
    face = np.concatenate([half, half[:, ::-1]], axis=1).astype(float)
    copies = np.array([face, face + generator.normal(0, 2, face.shape)]).clip(0, 255).astype(np.uint8)
    found = audit(dataset(copies, [0, 0], [0, 0]))
    assert (found.summary.near_duplicates.pairs, len(positions(found, "near copy"))) == (1, 1)


def test_images_that_all_look_alike_are_counted_once_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten frames of one scene are 45 pairs of near copies, but nine images with an earlier near copy."""
    generator = np.random.default_rng(0)
    scene = textured(generator, 1)[0].astype(float)
    frames = np.array([np.clip(scene + generator.normal(0, 2, scene.shape), 0, 255) for _ in range(10)], np.uint8)
    alike = dataset(frames, [0] * 10, [0] * 10)
    found = audit(alike)
    assert found.summary.near_duplicates.pairs == 45
    assert (found.summary.suspicions["near copy"], len(positions(found, "near copy"))) == (9, 45)
    monkeypatch.setattr("ferlab.audit.near_duplicates.MAX_CANDIDATES", 44)
    with pytest.raises(FerlabError, match="More than 44 pairs of images look alike"):
        audit(alike)


def test_the_summary_counts_the_findings(found: Audit) -> None:
    summary = found.summary
    assert summary.images == SIZE + 8
    assert summary.exact_duplicates == ExactDuplicates(
        groups=3, surplus=3, conflicting_groups=1, across=across(1, 0, 1)
    )
    assert summary.mirrored_duplicates.groups == 1
    assert summary.mirrored_duplicates.images == 2
    assert summary.near_duplicates.across == across(0, 1, 0)
    assert summary.near_duplicates.mirrored_pairs == 2
    assert sum(summary.suspicions.values()) == len(found.suspicions)
    assert set(summary.suspicions) == set(REASONS)
    assert summary.classes["train"]["angry"].images == found.dataset.take(Split.TRAIN).class_counts()["angry"]


def test_counts_of_groups_match_a_count_by_hand() -> None:
    """Groups a a b b b c, where the second b has another label; counts of absent splits are None."""
    images = np.zeros((6, 48, 48), np.uint8)
    data = dataset(images, [0, 0, 1, 2, 1, 3], [0, 1, 0, 1, 1, 1])
    assert count_exact(data, np.array([0, 0, 1, 1, 1, 2])) == ExactDuplicates(
        groups=2, surplus=3, conflicting_groups=1, across=across(3, None, None)
    )


def test_nothing_is_found_among_distinct_images() -> None:
    data = dataset(textured(np.random.default_rng(1), 90), np.arange(90) % 7, np.arange(90) % 3)
    assert not audit(data).suspicions


def test_a_dataset_of_at_most_one_image() -> None:
    for number in (0, 1):
        data = dataset(textured(np.random.default_rng(1), 1)[:number], [0] * number, [1] * number)
        assert audit(data).summary.exact_duplicates.surplus == 0


def test_a_model_disputes_labels_that_it_was_not_trained_on(tmp_path: Path) -> None:
    """The model is confident about the class of each image; then a few labels are changed."""
    weights = linear_artifact(tmp_path / "linear.onnx")
    labels, splits = np.arange(300) % 7, np.full(300, Split.VALIDATION)
    signs = np.sign(weights - weights.mean(axis=1, keepdims=True))[:, labels].T.reshape(300, 48, 48)
    noise = np.random.default_rng(0).normal(0, 30, (300, 48, 48))
    images = np.clip(128 + 20 * signs + noise, 0, 255).astype(np.uint8)
    splits[200:], images[199] = Split.TRAIN, images[200]
    wrong = np.array([5, 50, 100, 199, 250])
    labels[wrong] = (labels[wrong] + 3) % 7
    found = audit(dataset(images, labels, splits), tmp_path / "linear.onnx")
    # The model does not predict the training image 250 and image 199, which is a copy of a training image.
    assert {index for index, _ in positions(found, "likely label error")} == {5, 50, 100}
    assert found.summary.label_errors.images == 199
    assert found.summary.label_errors.voters is None
    suggested = {item.index: item.suggested for item in found.suspicions if item.reason == "likely label error"}
    assert suggested == {5: "surprise", 50: "disgust", 100: "fear"}


def test_a_model_needs_images_that_it_was_not_trained_on(tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    data = dataset(textured(np.random.default_rng(1), 5), [0] * 5, [0] * 5)
    with pytest.raises(FerlabError, match="only training images"):
        audit(data, tmp_path / "linear.onnx")


@pytest.mark.real_data
@pytest.mark.slow
def test_known_duplicates_of_fer2013(fer2013_files: tuple[Path, Path]) -> None:
    images, votes = fer2013_files
    summary = audit(load_dataset(images, ferplus=votes)).summary
    exact = summary.exact_duplicates
    assert (exact.surplus, exact.conflicting_groups, exact.across["train-validation"]) == (1531, 47, 280)
    near = summary.near_duplicates.across["train-validation"]
    assert near and near > 300
    assert summary.votes and summary.votes["validation"].not_a_face == 10
