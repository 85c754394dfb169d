"""Files are written whole or not at all."""

from pathlib import Path
from typing import IO

import pytest

from ferlab.errors import OutputError
from ferlab.files import write_atomically
from ferlab.results import Result
from ferlab.runs import RunFolder


def test_a_full_disk_leaves_no_partly_written_file(tmp_path: Path) -> None:
    """/dev/full stands for the full disk: it rejects every write."""
    RunFolder(tmp_path).write_result(Result(status="completed", recipe="own", seed=0))

    def fill(file: IO[bytes]) -> None:
        file.write(b"half")
        with open("/dev/full", "wb") as full:
            full.write(b"the other half")

    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(tmp_path / "result.json", fill)
    result = RunFolder(tmp_path).result()
    assert result is not None
    assert result.status == "completed"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
