"""Input cases: each is a test, and a row of the documentation page of supported inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class InputCase:
    """One kind of input, and what happens with it.

    Args:
        group: heading of the table on the documentation page, such as `Image files`.
        input: what is passed, in Markdown.
        result: what happens, one short sentence in Markdown.
        check: builds the input in an empty folder, runs ferlab on it and asserts `result`.
    """

    group: str
    input: str
    result: str
    check: Callable[[Path], None]
