"""Every input case of the modules in this folder, and the documentation page made of them."""

from pathlib import Path

import pytest

from tests.inputs.case import InputCase
from tests.inputs.page import GROUPS, all_cases, page

CASES = list(all_cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.input}")
def test_input(case: InputCase, tmp_path: Path) -> None:
    case.check(tmp_path)


def test_the_page_shows_every_case() -> None:
    assert {case.group for case in CASES} <= GROUPS.keys(), "add the group to GROUPS in tests/inputs/page.py"
    text = page()
    for case in CASES:
        assert "|" not in case.input + case.result
        assert text.count(f"| {case.input} | {case.result} |") == 1
