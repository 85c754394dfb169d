"""The description of the machine and of the version that a result depends on."""

import importlib.util
import subprocess
from pathlib import Path

from ferlab import backend


def test_the_commit_is_that_of_the_repository_that_holds_the_code(tmp_path: Path) -> None:
    """Not that of a project whose virtual environment the package is installed in."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    copy = tmp_path / "backend.py"
    copy.write_bytes(Path(backend.__file__).read_bytes())
    spec = importlib.util.spec_from_file_location("copied_backend", copy)
    assert spec and spec.loader
    copied = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copied)
    git("init", "--quiet")
    git("commit", "--allow-empty", "--quiet", "--message", "a project")
    assert copied._commit() is None
    git("add", "backend.py")
    git("commit", "--quiet", "--message", "the code")
    assert copied._commit() == git("rev-parse", "HEAD")
