"""Images from URLs: limits of size and time, redirects, and errors."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from ferlab.errors import ImageError
from ferlab.images import download
from ferlab.images.decode import read_image
from ferlab.images.sources import open_source
from tests.images.test_decode import COLORS
from tests.images.test_sources import PNG


class Handler(BaseHTTPRequestHandler):
    """Answer by the path: a good image, redirects, and what broken or hostile servers do."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            getattr(self, f"get_{self.path[1:]}")()

    def start(self, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def get_image(self) -> None:
        self.start()
        self.wfile.write(PNG)

    def get_moved(self) -> None:
        self.start(302, Location="/image")

    def get_file(self) -> None:
        self.start(302, Location="file:///etc/hostname")

    def get_ftp(self) -> None:
        self.start(302, Location="ftp://127.0.0.1/x.png")

    def get_loop(self) -> None:
        self.start(302, Location="/loop")

    def get_missing(self) -> None:
        self.send_error(404)

    def get_endless(self) -> None:
        self.start()
        while True:
            self.wfile.write(bytes(2**16))

    def get_silent(self) -> None:
        time.sleep(2)

    def get_drip(self) -> None:
        self.start()
        self.drip()

    def get_slow_headers(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\n")
        self.drip()

    def drip(self) -> None:
        for _ in range(20):
            self.wfile.write(b"x")
            time.sleep(0.1)

    def get_cut(self) -> None:
        self.start(Content_Length=str(len(PNG)))
        self.wfile.write(PNG[:-9])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "MAX_SECONDS", 0.8)
    monkeypatch.setattr(download, "SILENT_SECONDS", 0.4)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_an_image_is_downloaded_if_urls_are_allowed(server: str) -> None:
    for path in ("image", "moved"):
        source = open_source(f"{server}/{path}", allow_urls=True)
        assert source.name == f"{server}/{path}"
        np.testing.assert_array_equal(read_image(source).pixels, COLORS)
    with pytest.raises(ImageError, match="is not downloaded"):
        read_image(f"{server}/image")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "404"),
        ("file", "not allowed"),
        ("ftp", "unknown url type: ftp"),
        ("loop", "infinite loop"),
        ("endless", "larger than 64 MiB"),
        ("silent", "no complete answer in time"),
        ("drip", "no complete answer in time"),
        ("slow_headers", "no complete answer in time"),
        ("cut", "closed before the end"),
        ("x y", "control characters"),
    ],
)
def test_limits_and_errors(server: str, path: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(ImageError, match=f"{server}/{path} cannot be downloaded: .*{reason}"):
        download.download(f"{server}/{path}")
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/", "Connection refused"),
        ("http://nowhere.invalid/", ""),
        ("http://", "no host"),
        ("http://[", "Invalid"),
    ],
)
def test_servers_that_cannot_be_reached(url: str, reason: str) -> None:
    with pytest.raises(ImageError, match=f"cannot be downloaded: .*{reason}"):
        download.download(url)
