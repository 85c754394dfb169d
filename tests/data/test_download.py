"""A failed download raises an error that says what to do. These tests need no network."""

import sys

import pytest

from ferlab.data.download import download
from ferlab.errors import DataError, MissingExtraError


def test_without_kagglehub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # Python treats this as not installed
    with pytest.raises(MissingExtraError, match=r"pip install 'ferlab\[download\]'"):
        download()


def test_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("kagglehub", reason="kagglehub is not installed (extra `download`)")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path_factory.mktemp("kagglehub")))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server
    with pytest.raises(DataError) as caught:
        download()
    message = str(caught.value)
    assert "\n" not in message
    assert "https://www.kaggle.com/datasets/msambare/fer2013" in message
    assert "--data" in message
