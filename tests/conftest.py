"""What all tests share: a small data set, a cache of their own, and quiet logs."""

import functools
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ferlab import Dataset, load_dataset


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def demo() -> Dataset:
    """The whole of the demo data."""
    return load_dataset("demo")


@pytest.fixture(scope="session")
def small(demo: Dataset) -> Dataset:
    """112 training, 70 validation and 70 test images of the demo data."""
    chosen = np.concatenate(
        [
            np.flatnonzero(demo.splits == split)[:: _step(demo, split, n)][:n]
            for split, n in ((0, 112), (1, 70), (2, 70))
        ]
    )
    mask = np.zeros(len(demo), bool)
    mask[chosen] = True
    return demo.where(mask)


def _step(dataset: Dataset, split: int, wanted: int) -> int:
    return int(np.sum(dataset.splits == split)) // wanted


@pytest.fixture
def http_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which a server on this machine hands out its files."""
    folder = tmp_path_factory.mktemp("http")
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, format: str, *args: object) -> None:
        pass
