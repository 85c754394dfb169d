"""Fixtures shared by all tests: small datasets, a private cache folder, and a local file server."""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ferlab import Dataset, load_dataset

# `pytest --hypothesis-profile=campaign` searches longer, with other examples each time.
PROPERTIES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.register_profile("ferlab", PROPERTIES, max_examples=40, derandomize=True, database=None)
settings.register_profile("campaign", PROPERTIES, max_examples=2000)
settings.load_profile("ferlab")

LARGE_NETWORKS = ("resnet50]", "vgg16]")  # as test names end; building one takes several seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that build large networks as slow."""
    for item in items:
        if item.path.name in ("test_models.py", "test_model_stats.py", "test_explain.py") and item.name.endswith(
            LARGE_NETWORKS
        ):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def demo() -> Dataset:
    """The demo dataset."""
    return load_dataset("demo")


@pytest.fixture(scope="session")
def small(demo: Dataset) -> Dataset:
    """A part of the demo dataset: 112 training, 70 validation and 70 test images."""
    mask = np.zeros(len(demo), bool)
    for split, count in ((0, 112), (1, 70), (2, 70)):
        positions = np.flatnonzero(demo.splits == split)
        mask[positions[:: len(positions) // count][:count]] = True
    return demo.where(mask)


@pytest.fixture
def small_table(small: Dataset, tmp_path: Path) -> Path:
    """The dataset `small` as a file, for other processes."""
    usages = ("Training", "PublicTest", "PrivateTest")
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))},{usages[split]}\n"
        for image, label, split in zip(small.images, small.labels, small.splits, strict=True)
    ]
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n" + "".join(rows))
    return path


@pytest.fixture
def fer2013_files(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """FER2013 and the votes of FER+, with a cache that all tests share. Skips the test where they are missing."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    files = (folder / "fer2013.zip", folder / "fer2013new.csv")
    if not all(file.exists() for file in files):
        pytest.skip("needs FER2013 and FER+ in ../shared/data")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "fer2013-cache"))
    return files


@pytest.fixture
def locked_folder() -> Iterator[Callable[[Path], Path]]:
    """A function that takes all permissions from a folder. Skips the test where the user may open it nevertheless."""
    locked: list[Path] = []

    def lock(folder: Path) -> Path:
        folder.chmod(0)
        locked.append(folder)
        if os.access(folder, os.R_OK):
            pytest.skip("this user, such as root, may open every folder")
        return folder

    yield lock
    for folder in locked:
        folder.chmod(0o755)


@pytest.fixture
def http_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of a local server for its files."""
    folder = tmp_path_factory.mktemp("http")
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without writing a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass
