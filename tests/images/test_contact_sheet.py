"""Contact sheets show every image and every label."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab.errors import OutputError
from ferlab.images import contact_sheet as sheets
from ferlab.images.contact_sheet import MARGIN, Row, contact_sheet, write_contact_sheet

GRAY = np.full((48, 48), 100, np.uint8)


def test_images_are_arranged_in_rows() -> None:
    dark = np.zeros((48, 48), np.uint8)
    sheet = contact_sheet([Row(label="a", images=[GRAY, dark]), Row(label="b", images=[])])
    assert sheet.shape[0] == 2 * 48
    assert np.all(sheet[:48, -52:-4] == 0)
    assert np.all(sheet[:48, -104:-56] == 100)
    assert np.all(sheet[48:, -104:] == 255)


def test_images_are_enlarged_under_their_captions() -> None:
    sheet = contact_sheet([Row(label="two\nlines", images=[GRAY], captions=["caption"])], scale=2)
    assert sheet.shape[0] == 2 * 48 + sheets.CAPTION_HEIGHT
    assert np.all(sheet[sheets.CAPTION_HEIGHT :, -100:-4] == 100)
    assert sheet[: sheets.CAPTION_HEIGHT, -100:].min() < 128


def test_a_dataset_without_images_gives_an_empty_sheet() -> None:
    assert contact_sheet([Row(label="a", images=[])]).shape[0] == 48


@pytest.mark.parametrize("label", ["vögel", "радость", "悲しい"])
def test_labels_in_any_script_are_legible(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No two characters look the same, with the fonts of this system and without any."""
    for fonts in (sheets.SYSTEM_FONTS, ()):
        monkeypatch.setattr(sheets, "SYSTEM_FONTS", fonts)
        sheets._fonts.cache_clear()
        columns = [contact_sheet([Row(label=character, images=[])])[:, MARGIN:] for character in label]
        assert len({column.tobytes() for column in columns}) == len(set(label))
    monkeypatch.undo()
    sheets._fonts.cache_clear()


def test_a_sheet_is_written_as_png(tmp_path: Path) -> None:
    rows = [Row(label="a", images=[GRAY])]
    write_contact_sheet(tmp_path / "sheet.png", rows)
    written = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(written, contact_sheet(rows))
    with pytest.raises(OutputError):
        write_contact_sheet(tmp_path / "sheet.png" / "sheet.png", rows)
