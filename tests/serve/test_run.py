"""`ferlab serve` as a process: its messages, its end, and several processes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from ferlab.cli import app
from ferlab.errors import MissingExtraError, ServeError
from ferlab.images.yunet import MODEL_VARIABLE
from tests.serve.service import connect, photo, received
from tests.serve.test_attacks import FORM_TYPE, HEAD, PART
from tests.serve.test_predict import metric, post


@contextmanager
def process(detector: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Run `ferlab serve` on a free port. Yields the process and its URL."""
    command = [sys.executable, "-m", "ferlab", "serve", "--port", "0", *options]
    environment = os.environ | {MODEL_VARIABLE: str(detector)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr
        try:
            line = running.stderr.readline()
            found = re.fullmatch(r"Serving (http://\S+) \(Ctrl-C to stop\)\n", line)
            assert found, line
            yield running, found[1]
        finally:
            running.kill()


def test_sigterm_finishes_what_is_in_flight(detector: Path) -> None:
    content = photo((2, 2))
    body = PART + content + b"\r\n--X--\r\n"
    with process(detector) as (running, url):
        requests.get(f"{url}/readyz", timeout=60).raise_for_status()
        with connect(url) as connection:
            connection.sendall(HEAD + FORM_TYPE + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
            while metric_is(url, 0):
                time.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            with pytest.raises(requests.ConnectionError):
                while True:
                    requests.get(f"{url}/healthz", timeout=60)
            connection.sendall(body[100:])
            response = received(connection)
        assert response.startswith(b"HTTP/1.1 200")
        assert b'"detection_score"' in response
        assert running.wait(timeout=60) == -signal.SIGTERM


def metric_is(url: str, value: float) -> bool:
    """Return whether the number of predictions in flight has this value."""
    return metric(url, "ferlab_requests_in_flight") == value


def test_ctrl_c_ends_without_a_message(detector: Path) -> None:
    with process(detector) as (running, url):
        requests.get(f"{url}/readyz", timeout=60).raise_for_status()
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 0
        assert running.stderr
        assert running.stderr.read() == ""


@pytest.mark.slow
def test_several_processes_share_their_metrics(detector: Path) -> None:
    with process(detector, "--workers", "2") as (running, url):
        for _ in range(8):
            post(url, photo((2, 2)))
        assert metric(url, "ferlab_faces_total") == 8
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0


def test_errors_before_the_start_say_what_to_do(detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def error(*options: str) -> BaseException | None:
        return CliRunner().invoke(app, ["serve", *options]).exception

    monkeypatch.setenv(MODEL_VARIABLE, str(detector))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        reason = error("--port", str(taken.getsockname()[1]))
    assert isinstance(reason, ServeError)
    assert str(reason).endswith("Choose another --port or --host.")
    assert "openssl rand" in str(error("--token-env", "FERLAB_TEST_TOKEN"))
    monkeypatch.setenv("FERLAB_TEST_TOKEN", "two words")
    assert "without spaces" in str(error("--token-env", "FERLAB_TEST_TOKEN"))
    assert "cannot be read" in str(error("--port", "0", "--model", "nowhere.onnx"))
    for size in ("much", "inf", "1e400", "0"):
        wrong = CliRunner().invoke(app, ["serve", "--max-upload", size])
        assert (wrong.exit_code, "such as 10MB" in wrong.output) == (2, True)


def test_a_service_for_everyone_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferlab.serve.run.serve", lambda *_: None)
    monkeypatch.setenv("FERLAB_TEST_TOKEN", "secret")
    for host, token, warned in (("0.0.0.0", "", True), ("::", "", True), ("localhost", "", False), ("::1", "", False),
                                ("0.0.0.0", "FERLAB_TEST_TOKEN", False)):  # fmt: skip
        result = CliRunner().invoke(app, ["serve", "--host", host, *(["--token-env", token] if token else [])])
        assert result.exit_code == 0, result.output
        assert ("--token-env" in result.stderr) == warned


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ferlab.serve.run", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    error = CliRunner().invoke(app, ["serve"]).exception
    assert isinstance(error, MissingExtraError)
    assert "'uvicorn'" in str(error)
    assert "pip install 'ferlab[serve]'" in str(error)
