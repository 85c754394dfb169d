"""Run the service with uvicorn, in one process or several."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from uvicorn.supervisors import Multiprocess

from ferlab.errors import ServeError
from ferlab.serve.app import create_app
from ferlab.serve.connection import BoundedWebSocket, TimedConnection
from ferlab.serve.metrics import FOLDER_VARIABLE
from ferlab.serve.settings import ServeSettings

WORKER_START = 60  # seconds; a worker that does not respond for so long is replaced, also while it is still starting


def serve(settings: ServeSettings, host: str, port: int, on_start: Callable[[str], None] = lambda _: None) -> None:
    """Run the service until SIGTERM or Ctrl-C. Requests that have been received are answered first.

    Args:
        settings: what to run.
        host: the address to listen on.
        port: the port; 0 for any free one.
        on_start: called with the URL of the service.

    Raises:
        ArtifactError: if the model file is not valid.
        DetectorError: if no detector is available.
        ServeError: if the address is in use.
    """
    with _shared_metrics(settings.workers), _listen(host, port) as listener:
        app = create_app(settings)  # in every case, so that a wrong model is reported before anything starts
        on_start(_url(listener))
        try:
            if settings.workers == 1:
                uvicorn.Server(server_config(settings, app=app)).run(sockets=[listener])
            else:
                make = partial(create_app, settings)
                config = server_config(settings, app=make, factory=True, workers=settings.workers)
                Multiprocess(config, [listener]).run()
        except KeyboardInterrupt:
            return


def server_config(settings: ServeSettings, **options: object) -> uvicorn.Config:
    """Return the configuration of uvicorn: its limits, and a log without requests."""
    return uvicorn.Config(
        http=partial(TimedConnection, header_timeout=settings.header_timeout),  # type: ignore[arg-type]
        ws=BoundedWebSocket,
        ws_max_size=settings.max_upload,
        ws_per_message_deflate=False,  # images are compressed already
        timeout_graceful_shutdown=settings.shutdown_timeout,
        timeout_worker_healthcheck=WORKER_START,
        log_level="warning",
        access_log=False,
        server_header=False,
        **options,  # type: ignore[arg-type]
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ServeError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another --port or --host."
        ) from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def _shared_metrics(workers: int) -> Iterator[None]:
    """Let several processes share their metrics through a temporary folder."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ferlab-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]
