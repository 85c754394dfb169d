"""Lists of images to exclude: the remaining dataset has no faults."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split, load_dataset
from ferlab.audit import audit, images_to_exclude, write_audit, write_exclude
from ferlab.data.exclude import exclude_images, notes_mention_exclusion
from ferlab.errors import DataError
from tests.audit.builders import planted
from tests.data.builders import contents, write_zip


@pytest.mark.parametrize(
    ("keep", "excluded"),
    [
        # 4 and 122 conflict, 126 and 127 are not faces, 120 is a copy within its split.
        ("test", {4, 122, 126, 127, 120, 3, 12}),
        ("train", {4, 122, 126, 127, 120, 121, 125}),
    ],
)
def test_the_chosen_split_keeps_a_shared_image(keep: str, excluded: set[int]) -> None:
    chosen = images_to_exclude(audit(planted()), keep)  # type: ignore[arg-type]
    assert {int(index) for indices in chosen.values() for index in indices} == excluded


@pytest.mark.parametrize("keep", ["test", "train"])
def test_the_rest_has_no_faults(keep: str, tmp_path: Path) -> None:
    data = planted()
    number = write_exclude(audit(data), tmp_path / "exclude.txt", keep)  # type: ignore[arg-type]
    rest = exclude_images(data, tmp_path / "exclude.txt")
    assert len(rest) == len(data) - number
    assert rest.notes == (f"excluded: {number} images listed in exclude.txt",)
    summary = audit(rest).summary
    assert summary.exact_duplicates.surplus == 0
    assert set(summary.near_duplicates.across.values()) == {0}
    assert summary.suspicions["blank"] == summary.suspicions["not a photo"] == 0


def test_nothing_is_excluded_from_clean_data(demo: Dataset, tmp_path: Path) -> None:
    part = demo.where(demo.splits == Split.TEST)
    assert write_exclude(audit(part), tmp_path / "exclude.txt") == 0
    assert len(exclude_images(part, tmp_path / "exclude.txt")) == len(part)


def test_a_list_of_another_source_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "fer2013.zip", contents())
    (tmp_path / "list.txt").write_text("# written by hand\n\ntrain/happy/Training_1.png\nrow 5\n")
    with pytest.raises(DataError, match=r"list.txt, line 4: .*fer2013.zip has no image 'row 5'"):
        load_dataset(source, exclude=tmp_path / "list.txt")
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset(source, exclude=tmp_path / "missing.txt")


def test_unusual_names_and_lists(demo: Dataset, tmp_path: Path) -> None:
    """A list with a byte order mark, and names that look like comments or end in a space."""
    names = np.array([f"image {number}" for number in range(len(demo))], dtype="U20")
    names[:2] = ["#1/a.png", "b.png "]
    (tmp_path / "list.txt").write_text("# list\n#1/a.png\nb.png \nimage 2\n", encoding="utf-8-sig")
    assert exclude_images(replace(demo, names=names), tmp_path / "list.txt").names.tolist() == names[3:].tolist()


def test_names_with_line_breaks(tmp_path: Path) -> None:
    """Python splits lines at U+2028 and other characters, too; only zips contain names with a newline."""
    names = [
        *(f"a{separator}b.png" for separator in ("\u2028", "\u0085", "\x0b", "\n", "\r\n", "\r")),
        '"a".png',
        " a.png ",
    ]
    data = planted()
    data = replace(data, names=np.array([*names, *data.names[len(names) :].tolist()], np.str_))
    found = audit(data)
    blank = tuple(replace(found.suspicions[0], index=index, reason="blank") for index in range(len(names)))
    number = write_exclude(replace(found, suspicions=blank), tmp_path / "exclude.txt")
    assert number >= len(names)
    assert len(exclude_images(data, tmp_path / "exclude.txt")) == len(data) - number
    content = (tmp_path / "exclude.txt").read_bytes()
    (tmp_path / "exclude.txt").write_bytes(content.replace(b"\n", b"\r\n"))  # saved by an editor on Windows
    assert len(exclude_images(data, tmp_path / "exclude.txt")) == len(data) - number


def test_excluding_images_changes_the_fingerprint(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "fer2013.zip", contents())
    (tmp_path / "list.txt").write_text("train/happy/Training_1.png\n")
    whole, rest = load_dataset(source), load_dataset(source, exclude=tmp_path / "list.txt")
    assert rest.names.tolist() == [name for name in whole.names if name != "train/happy/Training_1.png"]
    assert rest.fingerprints["train"] != whole.fingerprints["train"]
    assert rest.fingerprints["test"] == whole.fingerprints["test"]


def test_notes_of_earlier_versions_are_understood() -> None:
    assert notes_mention_exclusion("left out: 2 images listed in exclude.txt")
    assert notes_mention_exclusion("faces: cropped excluded: 2 images listed in exclude.txt")
    assert not notes_mention_exclusion("validation: 15 % of train/, stratified by class")


def test_the_three_output_files(tmp_path: Path) -> None:
    found = audit(planted())
    page = write_audit(found, tmp_path).read_text()
    assert page.count("data:image/png") >= 10
    assert "1 groups of identical images have conflicting labels" in page
    assert "Pairs just above the threshold of 0.6" in page
    rows = (tmp_path / "audit.csv").read_text().splitlines()
    assert rows[0].startswith("reason,split,label,suggested,name,partner_split")
    assert len(rows) == len(found.suspicions) + 1
    assert "conflicting labels,test,surprise,sad,image 122,validation,sad,image 4,1.0" in rows
    write_audit(found, tmp_path / "private", images=False)
    assert "data:image" not in (tmp_path / "private" / "audit.html").read_text()
    assert np.all([(tmp_path / "private" / name).exists() for name in ("audit.json", "audit.csv")])
