"""What all tests share: a small data set, a cache of their own, and quiet logs."""

import os

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
