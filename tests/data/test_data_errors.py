"""Each kind of bad data causes one clear error, and `skip_bad` skips exactly the bad item."""

from pathlib import Path

import pytest

from ferlab import load_dataset
from tests.data.error_cases import SECTIONS, Case, error_message, page

PAGE = Path(__file__).parents[2] / "docs" / "data-errors.md"
CASES = {f"{section}: {case.name}": case for section, cases in SECTIONS.items() for case in cases}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_bad_data_causes_one_clear_error(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = case.make()
    message = error_message(source)
    assert "\n" not in message
    assert all(text in message for text in [source.name, *case.mentions]), message
    assert str(tmp_path) not in message
    if case.kept is None:
        error_message(source, skip_bad=True)
    else:
        dataset = load_dataset(source, skip_bad=True)
        assert len(dataset) == case.kept
        assert len(dataset.skipped) == 1
        assert dataset.skipped[0].reason in message
        assert "--skip-bad" in message


def test_the_data_error_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
