"""Run the service in a thread, and talk to it through plain sockets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import uvicorn

from ferlab.images.yunet import MODEL_VARIABLE
from ferlab.serve.app import create_app
from ferlab.serve.run import server_config
from ferlab.serve.settings import ServeSettings
from tests.detector_models import CELL


@contextmanager
def running(detector: Path, **settings: object) -> Iterator[str]:
    """Run a service in a thread.

    Args:
        detector: the file of the face detector.
        settings: fields of `ServeSettings`.

    Yields:
        The URL of the service.
    """
    chosen = ServeSettings(**settings)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_VARIABLE, str(detector))
        app = create_app(chosen)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(chosen, app=app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def photo(*cells: tuple[int, int], suffix: str = ".png") -> bytes:
    """Return an image file of 320x192 pixels with a white square, a face for the test detector, in each cell."""
    image = np.zeros((6 * CELL, 10 * CELL, 3), np.uint8)
    for column, row in cells:
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = 255
    return cv2.imencode(suffix, image)[1].tobytes()


def connect(url: str) -> "closing[socket.socket]":
    """Open a TCP connection to a service."""
    parts = urlsplit(url)
    return closing(socket.create_connection((parts.hostname, parts.port), timeout=30))


def received(connection: socket.socket) -> bytes:
    """Return everything that a service sends until it closes the connection."""
    chunks = []
    try:
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)


def exchange(url: str, request: bytes) -> bytes:
    """Send bytes as they are, and return everything that comes back."""
    with connect(url) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was complete
            connection.sendall(request)
        return received(connection)
