"""FER+ votes: joined to every layout, and counted as by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy as shannon_entropy

from ferlab import Dataset, Split
from ferlab.audit import audit
from ferlab.data import ferplus, ferplus_agreement
from ferlab.data.fer2013 import NUM_IMAGES
from ferlab.data.ferplus import VOTES, kaggle_rows, with_votes
from ferlab.emotions import EMOTIONS, FERPLUS
from ferlab.errors import DataError
from ferlab.evaluation.scoring import score_split
from tests.audit.builders import dataset, textured

#           neutral happy surprise sad angry disgust fear contempt unknown NF
COUNTS = [
    [0, 0, 0, 0, 8, 2, 0, 0, 0, 0],  # angry: most votes are for it
    [5, 0, 0, 5, 0, 0, 0, 0, 0, 0],  # sad: a tie counts as agreement
    [9, 0, 0, 0, 0, 0, 1, 0, 0, 0],  # fear: another class has more votes
    [0, 10, 0, 0, 0, 0, 0, 0, 0, 0],  # surprise: no vote is for it
    [0, 2, 0, 0, 0, 0, 0, 0, 2, 6],  # happy: most voters see no face
]
LABELS = [0, 4, 2, 5, 3]


def voted() -> Dataset:
    images = textured(np.random.default_rng(0), 5)
    return dataset(images, LABELS, [0, 0, 0, 0, 0], votes=np.array(COUNTS, np.uint8))


def test_votes_are_counted_as_by_hand() -> None:
    data = voted()
    np.testing.assert_allclose(ferplus_agreement.agreement(data), [0.8, 0.5, 0.1, 0, 0.2])
    assert ferplus_agreement.majority_agrees(data).tolist() == [True, True, False, False, False]
    assert ferplus_agreement.nobody_voted_for_label(data).tolist() == [False, False, False, True, False]
    assert ferplus_agreement.not_a_face(data).tolist() == [False, False, False, False, True]
    expected = [shannon_entropy(counts, base=2) for counts in COUNTS]
    np.testing.assert_allclose(ferplus_agreement.entropy(np.array(COUNTS)), expected)


def test_images_are_divided_by_the_agreement_of_the_voters() -> None:
    """The label of the last image has two of ten votes."""
    masks = ferplus_agreement.agreement_classes(voted())
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "unanimous": [False] * 5,
        "majority": [True, True, False, False, False],
        "outvoted": [False, False, True, False, True],
        "nobody": [False, False, False, True, False],
    }


def test_accuracy_is_computed_by_agreement() -> None:
    """The predictions are angry, neutral, fear, surprise, happy: incorrect for the second image alone."""
    data = voted()
    agreement = score_split(data, Split.TRAIN, np.eye(7)[[0, 6, 2, 5, 3]], data).agreement
    assert agreement is not None
    assert {name: (row.images, row.accuracy) for name, row in agreement.items()} == {
        "unanimous": (0, None),
        "majority": (2, 0.5),
        "outvoted": (2, 1.0),
        "nobody": (1, 1.0),
    }
    without = replace(data, votes=None)
    assert score_split(without, Split.TRAIN, np.eye(7)[[0, 6, 2, 5, 3]], without).agreement is None


def test_images_without_votes_are_neither_mislabeled_nor_faceless() -> None:
    data = dataset(textured(np.random.default_rng(0), 1), [0], [0], votes=np.zeros((1, 10), np.uint8))
    assert ferplus_agreement.entropy(np.zeros((1, 10))).tolist() == [0]
    assert not ferplus_agreement.nobody_voted_for_label(data).any()
    assert not ferplus_agreement.not_a_face(data).any()


def test_the_audit_counts_votes() -> None:
    summary = audit(voted()).summary
    assert summary.votes["train"].majority_agrees == pytest.approx(0.4)
    assert summary.votes["train"].majority_agrees_by_class["disgust"] is None
    assert summary.suspicions["not a face"] == summary.suspicions["label without votes"] == 1


def table(path: Path, *, header: str = ",".join(("Usage", "Image name", *VOTES)), rows: int = NUM_IMAGES) -> Path:
    """Write a table whose row r has r modulo 11 votes for neutral, and the others for happiness."""
    lines = [f"Training,fer{row:07}.png,{row % 11},{10 - row % 11}" + ",0" * 8 for row in range(rows)]
    path.write_text("\n".join([header, *lines]))
    return path


def test_the_images_of_every_layout_are_matched_with_their_rows(tmp_path: Path) -> None:
    """By row number, by file name, and by class folder if a file name occurs twice."""
    by_row = {row: name for name, row in kaggle_rows().items()}
    names = [
        "row 7", "row 32298", f"train/sad/{by_row[12]}.jpg", f"test/happy/{by_row[28_710]}.png",
        "train/surprise/Training_52789098.jpg", "train/neutral/Training_52789098.jpg",
        "train/Angry/Training_8475486.png", "Train/SURPRISE/Training_8475486.jpg",
    ]  # fmt: skip
    splits = [Split.TRAIN, Split.TEST, Split.TRAIN, Split.VALIDATION, *[Split.TRAIN] * 4]
    data = dataset(textured(np.random.default_rng(0), 8), [0] * 8, splits)
    object.__setattr__(data, "names", np.array(names))
    joined = with_votes(data, table(tmp_path / "votes.csv"))
    assert joined.votes is not None
    assert joined.votes[:, 0].tolist() == [row % 11 for row in (7, 32_298, 12, 28_710, 2_164, 15_838, 24_067, 27_820)]
    assert joined.take(Split.TEST).votes.tolist() == joined.votes[[1]].tolist()  # type: ignore[union-attr]


def test_the_index_contains_every_row() -> None:
    """Two names occur twice; each other name is one row, in the order of the splits."""
    rows = kaggle_rows()
    assert len(rows) == NUM_IMAGES - 2
    assert {name.split("_")[0] for name, row in rows.items() if row >= 32_298} == {"PrivateTest"}


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("holiday.jpg", Split.TRAIN, "'holiday.jpg' is not an image of FER2013"),
        ("row 99999", Split.TRAIN, "'row 99999' is not an image of FER2013"),
        ("row 5", Split.TEST, "row 5 is in test, but row 5 of FER2013 is not"),
    ],
)
def test_images_that_are_not_part_of_fer2013_raise(name: str, split: Split, message: str, tmp_path: Path) -> None:
    data = dataset(textured(np.random.default_rng(0), 1), [0], [split])
    object.__setattr__(data, "names", np.array([name]))
    with pytest.raises(DataError, match=message):
        with_votes(data, table(tmp_path / "votes.csv"))


def test_malformed_tables_of_votes_raise(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it has no column 'neutral'"):
        ferplus.read_votes(table(tmp_path / "a.csv", header="Usage,Image name,a,b,c,d,e,f,g,h,i,j"))
    with pytest.raises(DataError, match="it has 3 rows, expected 35,887"):
        ferplus.read_votes(table(tmp_path / "b.csv", rows=3))
    with pytest.raises(DataError, match="cannot be read"):
        ferplus.read_votes(tmp_path / "missing.csv")
    broken = table(tmp_path / "c.csv")
    broken.write_text(broken.read_text().replace("fer0000004.png,4,", "fer0000004.png,four,"))
    with pytest.raises(DataError, match=r"row 4 \(line 6\): votes must be 0 to 10"):
        ferplus.read_votes(broken)


def test_votes_that_do_not_match_the_labels_raise(tmp_path: Path) -> None:
    """Votes for the labels of a table do not match the same table without its first row."""
    columns = [VOTES.index(FERPLUS[name]) for name in EMOTIONS]
    labels = np.arange(NUM_IMAGES) % 7
    counts = np.zeros((NUM_IMAGES, len(VOTES)), int)
    counts[np.arange(NUM_IMAGES), np.array(columns)[labels]] = 10
    rows = [",".join(VOTES), *(",".join(map(str, row)) for row in counts)]
    (tmp_path / "votes.csv").write_text("\n".join(rows))
    data = dataset(np.zeros((700, 48, 48), np.uint8), labels[:700], [0] * 700)
    data = replace(data, names=np.array([f"row {number}" for number in range(700)]))
    assert with_votes(data, tmp_path / "votes.csv").votes is not None
    with pytest.raises(DataError, match="do not match the labels"):
        with_votes(replace(data, labels=labels[1:701]), tmp_path / "votes.csv")
