"""The clients of docs/how-to/serve.md, run against the service."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT, blocks
from tests.serve.conftest import detector, service  # noqa: F401  # the fixtures
from tests.serve.service import photo, running

PAGE = ROOT / "docs" / "how-to" / "serve.md"
ADDRESS = "127.0.0.1:8000"
TOKEN = "a-token-for-the-page"


def example(language: str, containing: str) -> str:
    """Return the only block of the page in a language that contains a text."""
    [found] = [block for block in blocks(PAGE, language) if containing in block]
    return found


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photographs of the page."""
    (tmp_path / "photo.jpg").write_bytes(photo((2, 2), suffix=".jpg"))
    (tmp_path / "second.jpg").write_bytes(photo((1, 1), (6, 3), suffix=".jpg"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: list[str], code: str, url: str) -> str:
    """Run code of the page against a service. Returns what it prints."""
    assert ADDRESS in code
    code = code.replace(ADDRESS, url.removeprefix("http://"))
    environment = os.environ | {"FERLAB_TOKEN": TOKEN}
    done = subprocess.run([*command, code], capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(name: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def node() -> list[str]:
    """Return the command that runs JavaScript, with WebSockets, which Node.js 20 has behind an option."""
    path = program("node")
    version = int(re.findall(r"\d+", subprocess.run([path, "--version"], capture_output=True, text=True).stdout)[0])
    if version < 20:
        pytest.skip(f"Node.js {version} is older than 20")
    return [path, *(["--experimental-websocket"] if version < 22 else []), "--input-type=module", "--eval"]


def keys(value: object) -> object:
    """Return the form of JSON: the names in it, without their values."""
    if isinstance(value, dict):
        return {name: keys(item) for name, item in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


def test_curl(service: str, workspace: Path) -> None:  # noqa: F811
    program("curl")
    printed = json.loads(run(["sh", "-c"], example("bash", "files=@photo.jpg"), service))
    [shown] = blocks(PAGE, "json")
    assert keys(printed) == keys(json.loads(shown))


def test_python(service: str, workspace: Path) -> None:  # noqa: F811
    lines = run([sys.executable, "-c"], example("python", "requests.post"), service).splitlines()
    assert [line.split()[0] for line in lines] == ["photo.jpg", "second.jpg", "second.jpg"]
    lines = run([sys.executable, "-c"], example("python", "websockets"), service).splitlines()
    assert [re.findall(r"\d+(?=:)", line) for line in lines] == [["1"], ["2", "3"]]


def test_javascript(service: str, workspace: Path) -> None:  # noqa: F811
    command = node()
    [line] = run(command, example("javascript", "fetch"), service).splitlines()
    assert re.fullmatch(r"[a-z]+ 0\.\d+", line)
    [line] = run(command, example("javascript", "onmessage"), service).splitlines()
    assert re.fullmatch(r"1 [a-z]+ 0\.\d+", line)


@pytest.fixture
def protected(detector: Path) -> Iterator[str]:  # noqa: F811
    """The URL of a service with a token."""
    with running(detector, token=TOKEN) as url:
        yield url


def test_tokens(protected: str, workspace: Path) -> None:
    program("curl")
    assert "class_names" in run(["sh", "-c"], example("bash", "Authorization"), protected)
    assert run(node(), example("javascript", "bearer"), protected) == "open\n"


def test_the_limits_are_those_of_the_service() -> None:
    from ferlab.serve.middleware import MAX_HEADERS
    from ferlab.serve.settings import ServeSettings

    page, settings = PAGE.read_text(encoding="utf-8"), ServeSettings()
    for row in (
        f"| images per request; images in the queue | {settings.max_files}; {settings.max_queue} |",
        f"| requests at once; from one address | {settings.max_requests}; {settings.max_requests_per_client} |",
        f"| streams at once; from one address | {settings.max_streams}; {settings.max_streams_per_client} |",
        f"| next part of an upload; whole upload | {settings.idle_timeout:g} s; {settings.upload_timeout:g} s |",
        f"more than {MAX_HEADERS} headers",
    ):
        assert row in page
