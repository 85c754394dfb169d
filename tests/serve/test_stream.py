"""`WS /v1/stream` on a running service."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ferlab.serve.access import check_origin
from ferlab.serve.refusals import Refusal
from ferlab.serve.settings import ServeSettings
from tests.serve.service import photo, running

TOKEN = "a token with enough letters".replace(" ", "-")


def open_stream(url: str, query: str = "", **options: Any) -> ClientConnection:
    return connect(f"{url.replace('http', 'ws', 1)}/v1/stream{query}", **options)


def answers(stream: ClientConnection, *frames: bytes) -> Iterator[dict[str, Any]]:
    """Send frames one by one, and yield the answer to each."""
    for frame in frames:
        stream.send(frame)
        yield json.loads(stream.recv(timeout=60))


def test_faces_keep_their_numbers_and_are_smoothed(service: str) -> None:
    frames = [photo((2, 2), suffix=".jpg"), photo((2, 2), (6, 3), suffix=".webp"), photo((6, 3), suffix=".jpg")]
    with open_stream(service) as stream:
        first, second, third = answers(stream, *frames)
    assert (first["schema"], first["frame"], first["width"], first["height"], first["error"]) == (1, 0, 320, 192, None)
    assert [face["track"] for face in first["faces"]] == [1]
    assert {face["track"]: face["box"][0] for face in second["faces"]} == {1: 64, 2: 192}
    assert [face["track"] for face in third["faces"]] == [2]
    assert third["frame"] == 2
    assert third["dropped"] == 0
    assert sum(third["faces"][0]["probabilities"].values()) == pytest.approx(1)


def test_a_frame_that_cannot_be_read_is_one_error(service: str) -> None:
    with open_stream(service, "?min_confidence=1") as stream:
        broken, good = answers(stream, b"broken", photo((2, 2)))
    assert broken["error"].startswith("not an image")
    assert (broken["faces"], broken["frame"]) == ([], 0)
    assert [face["emotion"] for face in good["faces"]] == [None]


def test_a_slow_server_drops_all_but_the_newest_frame(service: str) -> None:
    count, frame = 60, photo((2, 2), suffix=".jpg")
    with open_stream(service) as stream:
        for _ in range(count):
            stream.send(frame)
        analyzed = []
        while not analyzed or analyzed[-1]["frame"] < count - 1:
            analyzed.append(json.loads(stream.recv(timeout=60)))
    indices = [answer["frame"] for answer in analyzed]
    assert indices == sorted(set(indices))
    assert len(analyzed) + analyzed[-1]["dropped"] == count
    assert analyzed[-1]["dropped"] > 0


def closed_with(stream: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        stream.recv(timeout=60)
    assert caught.value.rcvd
    return caught.value.rcvd.code


def test_text_and_large_frames_close_the_stream(detector: Path) -> None:
    with running(detector, max_upload=50_000) as url:
        with open_stream(url) as stream:
            stream.send("text")
            assert closed_with(stream) == 1003
        with open_stream(url) as stream:
            stream.send(bytes(50_001))
            assert closed_with(stream) == 1009


def refused_with(url: str, query: str = "", **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught, open_stream(url, query, **options):
        pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")["error"]


def test_other_origins_are_refused(detector: Path, service: str) -> None:
    status, message = refused_with(service, origin="https://evil.example")
    assert status == 403
    assert "--cors" in message
    with open_stream(service, origin=service) as stream:
        assert next(answers(stream, photo()))["faces"] == []
    with running(detector, origins=("https://app.example",)) as url:
        assert refused_with(url, origin="https://evil.example")[0] == 403
        with open_stream(url, origin="https://app.example") as stream:
            assert next(answers(stream, photo()))["faces"] == []


def test_a_refused_stream_gets_a_reason_and_leaves_no_error_in_the_log(
    service: str, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    status, message = refused_with(service, "?min_confidence=7")
    assert status == 422
    assert message.startswith("min_confidence: ")
    assert refused_with(service, origin="https://evil.example")[0] == 403
    assert "handshake" not in capfd.readouterr().err + caplog.text


def test_tokens(detector: Path) -> None:
    def subprotocols(token: str) -> list[str]:
        return ["ferlab", "bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")]

    with running(detector, token=TOKEN) as url:
        assert refused_with(url)[0] == 401
        assert refused_with(url, subprotocols=subprotocols("wrong"))[0] == 401
        assert refused_with(url, subprotocols=["ferlab", "bearer.%%%"])[0] == 401
        with open_stream(url, subprotocols=subprotocols(TOKEN)) as stream:
            assert stream.subprotocol == "ferlab"
            assert next(answers(stream, photo()))["faces"] == []
        with open_stream(url, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as stream:
            assert next(answers(stream, photo()))["faces"] == []


def test_the_number_of_streams_is_limited(detector: Path) -> None:
    with running(detector, max_streams=1) as url:
        with open_stream(url) as stream:
            assert refused_with(url)[0] == 503
            assert "ferlab_streams 1.0" in requests.get(f"{url}/metrics", timeout=60).text
            assert next(answers(stream, photo()))["faces"] == []
        while "ferlab_streams 1.0" in requests.get(f"{url}/metrics", timeout=60).text:
            pass
        with open_stream(url) as stream:
            assert next(answers(stream, photo()))["faces"] == []


def test_one_address_cannot_open_all_streams(detector: Path) -> None:
    with running(detector, max_streams_per_client=1) as url, open_stream(url):
        assert refused_with(url) == (429, "More than 1 streams at once from your address. Wait until one has ended.")


def test_an_origin_that_is_no_address_is_refused() -> None:
    with pytest.raises(Refusal, match="Pages of this origin"):
        check_origin(Headers({"origin": "http://[", "host": "localhost"}), ServeSettings())
