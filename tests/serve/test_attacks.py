"""Hostile clients, each with its answer. Meanwhile, and afterwards, the service answers others."""

import json
import re
import struct
import time
import zlib
from pathlib import Path

import pytest
import requests

from ferlab.serve.engine import Engine
from tests.serve.service import connect, exchange, photo, received, running

TOKEN = "correct-horse-battery-staple"
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
FORM_TYPE = b"Content-Type: multipart/form-data; boundary=X\r\n"
PART = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


def answer(response: bytes) -> tuple[int, str]:
    """Return the status and the error of a response, which must be one line without internals."""
    head, _, body = response.partition(b"\r\n\r\n")
    [status] = re.findall(rb"^HTTP/1.1 (\d+)", head)
    message = json.loads(body)["error"]
    assert "\n" not in message
    assert not re.search(r"Traceback|\.py|/src/|site-packages|0x[0-9a-f]{6}", message)
    return int(status), message


def error_of(url: str, content: bytes, name: str = "a.png") -> str:
    """Return the error of an image that is refused in a request that succeeds."""
    response = requests.post(f"{url}/v1/predict", files={"files": (name, content)}, timeout=60)
    assert response.status_code == 200, response.text
    [result] = response.json()["results"]
    assert result["faces"] == []
    return result["error"]


def assert_answers(url: str) -> None:
    response = requests.post(f"{url}/v1/predict", files={"files": ("a.png", photo((2, 2)))}, timeout=60)
    assert len(response.json()["results"][0]["faces"]) == 1


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/%2e%2e%2f%2e%2e%2f/etc/passwd", "//etc/passwd", "/..\\app.py"],
)
def test_paths_outside_the_page_do_not_exist(service: str, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, _ = answer(exchange(service, request.encode()))
    assert status in (400, 404)


def test_file_names_and_texts_are_never_opened(service: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(photo((2, 2)))
    response = requests.post(f"{service}/v1/predict", files={"files": (f"../..{secret}", b"x")}, timeout=60)
    [result] = response.json()["results"]
    assert (result["source"], result["faces"]) == ("secret.png", [])
    for text in (str(secret), f"file://{secret}", "http://127.0.0.1:9/a.png", ""):
        response = requests.post(f"{service}/v1/predict", json={"images": [text]}, timeout=60)
        [result] = response.json()["results"]
        assert result["faces"] == []
        assert "base64" in result["error"] or "empty" in result["error"]
        assert str(tmp_path) not in response.text


def png_of(width: int, height: int, rows: int) -> bytes:
    """Return a PNG that states a size and contains `rows` black rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width + 1) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_decompression_bombs_are_refused_before_they_are_decoded(detector: Path) -> None:
    bomb = png_of(8000, 6000, 6000)
    assert len(bomb) < 100_000  # 48 million pixels
    with running(detector, max_pixels=1_000_000) as url:
        for content in (bomb, png_of(1001, 1000, 0)):  # the second one could not be decoded
            assert "pixels exceed the limit of 1,000,000" in error_of(url, content)
        assert "exceeds limit" in error_of(url, png_of(2**31 - 1, 2**31 - 1, 0))
        assert error_of(url, png_of(1000, 1000, 1000)) is None


@pytest.mark.parametrize("separately", [False, True])
def test_ten_thousand_headers(service: str, separately: bool) -> None:
    headers = [f"X-{number}: {'a' * 10}\r\n".encode() for number in range(10_000)]
    if not separately:
        status, message = answer(exchange(service, HEAD + b"".join(headers) + b"Connection: close\r\n\r\n"))
    else:
        with connect(service) as connection:
            try:
                connection.sendall(HEAD)
                for header in headers:
                    connection.sendall(header)
            except (BrokenPipeError, ConnectionResetError):
                pass
            response = received(connection)
        if not response:  # the connection was reset while headers were still being sent
            return
        status, message = answer(response)
    assert status in (400, 431)
    assert "headers" in message
    assert_answers(service)


def test_slow_clients_are_cut_off_and_hold_up_nobody(detector: Path) -> None:
    """Slowloris: headers that never end, bodies that never end, and connections without a request."""
    with running(detector, header_timeout=1, idle_timeout=1, upload_timeout=3) as url:
        with connect(url) as silent, connect(url) as headers, connect(url) as body, connect(url) as drip:
            headers.sendall(HEAD)
            body.sendall(HEAD + FORM_TYPE + b"Content-Length: 1000\r\n\r\n" + PART)
            drip.sendall(HEAD + FORM_TYPE + b"Content-Length: 1000\r\nConnection: close\r\n\r\n" + PART)
            assert_answers(url)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(300):  # each byte in time
                    drip.sendall(b"x")
                    time.sleep(0.1)
            assert received(silent) == received(headers) == b""
            assert answer(received(body)) == (408, "The request arrived too slowly. Send smaller images.")
        assert_answers(url)


def test_clients_that_do_not_read_are_cut_off(detector: Path) -> None:
    """Answers that nobody reads would fill the memory of the service and keep their connection forever."""
    upgrade = (
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFhYQ==\r\n\r\n"
    )
    ping = b"\x89\xfd" + bytes(4) + 125 * b"x"
    with running(detector, header_timeout=1) as url:
        with connect(url) as requests_only, connect(url) as pings:
            pings.sendall(upgrade)
            assert b"101 Switching" in pings.recv(200)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(1000):
                    pings.sendall(1000 * ping)
            request = b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
            requests_only.sendall(10_000 * request)  # more answers than the buffers of the system hold
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(100):
                    requests_only.sendall(request)
                    time.sleep(0.1)
        assert_answers(url)


def test_wrong_tokens(detector: Path) -> None:
    wrong = [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff",
    ]
    with running(detector, token=TOKEN) as url:
        for value in wrong:
            for path in ("/v1/predict", "/v1/model", "/metrics"):
                method = requests.post if path == "/v1/predict" else requests.get
                response = method(url + path, headers={"Authorization": value.encode("latin-1")}, timeout=60)
                assert response.status_code == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert TOKEN not in response.text
        assert requests.get(f"{url}/v1/model", headers={"Authorization": f"bearer {TOKEN}"}, timeout=60).ok
        assert requests.get(f"{url}/healthz", timeout=60).ok  # a supervisor needs no token


def test_large_uploads_are_refused_while_they_arrive(detector: Path) -> None:
    with running(detector, max_upload=100_000, idle_timeout=1) as url:
        announced = HEAD + FORM_TYPE + b"Content-Length: 1000000000\r\nConnection: close\r\n\r\n"
        assert answer(exchange(url, announced)) == (413, "Send at most 100,000 bytes per request.")
        chunks = (
            b"%x\r\n" % 10_000 + bytes(10_000) + b"\r\n"
        ) * 1000  # the answer comes while most of it is on its way
        body = HEAD + FORM_TYPE + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        body += b"%x\r\n%s\r\n" % (len(PART), PART) + chunks
        assert answer(exchange(url, body))[0] == 413
        many = [("files", ("a.png", b"x"))] * 33
        response = requests.post(f"{url}/v1/predict", files=many, timeout=60)
        assert (response.status_code, response.json()["error"]) == (413, "Send at most 32 images per request.")
        assert requests.post(f"{url}/v1/predict", json={"images": ["eA=="] * 33}, timeout=60).status_code == 413
        assert_answers(url)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=X", PART + b"x\r\n", 400),
        ("multipart/form-data; boundary=X", b"nonsense", 400),
        ("multipart/form-data; boundary=X", b"--X--\r\n", 400),
        ("multipart/form-data; boundary=" + "X" * 5000, b"--X", 400),
        ("multipart/form-data; boundary=X", PART.replace(b"files", b"url") + b"http://a\r\n--X--\r\n", 422),
        ("multipart/form-data", PART, 415),
        ("application/json", b"{", 400),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b'{"images": []}', 422),
        ("application/json", b'{"images": [{}]}', 422),
        ("application/json", b'{"images": [' + b"1," * 30 + b"1]}", 422),
        ("application/json", b'{"images": [' + b"1," * 100_000 + b"1]}", 413),
        ("application/json", b'{"images": ["eA=="], "url": ""}', 422),
        ("application/json", b'{"url": "http://localhost"}', 422),
        ("application/json", b'{"images": "\xff"}', 400),
        ("image/png", photo(), 415),
        ("", b"x", 415),
    ],
)
def test_malformed_requests(service: str, kind: str, body: bytes, status: int) -> None:
    head = HEAD + f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    assert answer(exchange(service, head + body))[0] == status


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + FORM_TYPE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + FORM_TYPE + b"Transfer-Encoding: chunked\r\n\r\n5\r\n--X\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http(service: str, request_: bytes) -> None:
    assert answer(exchange(service, request_))[0] == 400


def test_one_address_cannot_take_all_places(detector: Path) -> None:
    with running(detector, max_requests_per_client=1) as url:
        with connect(url) as slow:
            slow.sendall(HEAD + FORM_TYPE + b"Content-Length: 1000\r\n\r\n" + PART)
            while (response := requests.post(f"{url}/v1/predict", files={"files": b"x"}, timeout=60)).ok:
                pass
            assert response.status_code == 429
            assert "Retry-After" in response.headers
        while requests.post(f"{url}/v1/predict", files={"files": b"x"}, timeout=60).status_code == 429:
            pass  # until the service has noticed that the connection is closed
        assert_answers(url)


def test_unexpected_failures_stay_in_the_log(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("/a/secret/path")

    monkeypatch.setattr(Engine, "predict", fail)
    response = requests.post(f"{service}/v1/predict", files={"files": b"x"}, timeout=60)
    assert (response.status_code, response.json()) == (
        500,
        {"error": "Internal error. It is in the log of the server."},
    )
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
