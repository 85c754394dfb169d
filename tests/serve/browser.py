"""Run the page in Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.detector_models import CELL

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TIMEOUT = 60_000  # milliseconds; a loaded machine starts Chromium slowly
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")


@contextmanager
def opened(url: str, *arguments: str, token: str | None = None) -> Iterator[Any]:
    """Open a page in Chromium. Errors of its scripts, of its files and of its content security policy fail the test.

    Args:
        url: the address.
        arguments: command line arguments of Chromium.
        token: the token that the page asks for; None if it does not.

    Yields:
        The `playwright.sync_api.Page`.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    problems: list[str] = []
    with playwright.sync_playwright() as running:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, *arguments], timeout=TIMEOUT)
        page = chromium.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if is_problem(message) else None)
        page.goto(url)
        if token:
            page.fill("#token", token)
            page.click("#token-form button")
            problems.clear()  # the answer 401
        page.wait_for_selector("#workspace:not([hidden])")
        yield page
        chromium.close()
    assert problems == []


def is_problem(message: Any) -> bool:
    """Return whether a message of Chromium's console is an error. Without TLS, it ignores the header of isolation."""
    return message.type == "error" and "Cross-Origin-Opener-Policy header has been ignored" not in message.text


def saved_rows(page: Any) -> str:
    """Save the results of the page, and return the CSV text."""
    with page.expect_download() as download:
        page.click("#save")
    return Path(download.value.path()).read_text()


def fake_camera(video: Path) -> list[str]:
    """Return arguments of Chromium for a camera that plays a file in a loop, and that every page may use."""
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    ]


def write_mjpeg(path: Path, frames: list[np.ndarray]) -> Path:
    """Write RGB frames as Motion JPEG, which Chromium's fake camera plays."""
    encoded = [cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1] for frame in frames]
    path.write_bytes(b"".join(image.tobytes() for image in encoded))
    return path


def bright_cells(rows: int = 6, columns: int = 10, *, seed: int = 0) -> np.ndarray:
    """Draw cells with random gradients on black: faces for the test detector, with scores of 0.6 to 1.

    Returns:
        `(32 * rows, 32 * columns, 3)` uint8, RGB.
    """
    random = np.random.default_rng(seed)
    image = np.zeros((rows * CELL, columns * CELL, 3), np.uint8)
    for row, column in zip(*np.nonzero(random.random((rows, columns)) > 0.93), strict=True):
        corners = random.uniform(160, 255, (2, 2, 3)).astype(np.float32)
        cell = cv2.resize(corners, (CELL, CELL), interpolation=cv2.INTER_LINEAR)
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = cell
    return image
