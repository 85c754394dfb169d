"""Fixtures of the tests of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.detector_models import bright_cell_detector
from tests.serve.service import running


@pytest.fixture(scope="package")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a detector with the interface of YuNet, which detects white squares."""
    path = tmp_path_factory.mktemp("detector") / "cells.onnx"
    path.write_bytes(bright_cell_detector())
    return path


@pytest.fixture(scope="package")
def service(detector: Path) -> Iterator[str]:
    """The URL of a service with its default settings."""
    with running(detector) as url:
        yield url
