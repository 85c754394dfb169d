"""`POST /v1/predict` and the other routes, on a running service."""

import asyncio
import base64
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.types import Message, Receive, Scope, Send

from ferlab import Predictor
from ferlab.predict.prediction import Prediction
from ferlab.serve import engine
from ferlab.serve.metrics import Metrics
from ferlab.serve.middleware import CountRequests
from tests.scenes import MEDIA, YUNET
from tests.serve.service import photo, running

ROOT = Path(__file__).parents[2]
ONE, TWO = photo((2, 2)), photo((1, 1), (6, 3))


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (f"{number}.png", content)) for number, content in enumerate(contents, start=1)]


def post(url: str, *contents: bytes, **parameters: Any) -> dict[str, Any]:
    response = requests.post(f"{url}/v1/predict", files=files(*contents), params=parameters, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def expected(prediction: Prediction) -> list[dict[str, Any]]:
    """Return the faces of a prediction in the form of the service."""
    return [
        face.to_dict()
        | {"box": list(face.box), "landmarks": face.landmarks and list(map(list, face.landmarks.values()))}
        for face in prediction.faces
    ]


def metric(url: str, name: str) -> float:
    """Return the sum of a metric over its labels."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def test_faces_are_those_of_the_predictor(service: str, detector: Path) -> None:
    answer = post(service, ONE, b"broken", TWO, photo())
    assert (answer["schema"], answer["model"]) == (1, "fast")
    predictor = Predictor(detector_model=detector)
    one, broken, two, empty = answer["results"]
    for result, content, name in ((one, ONE, "1.png"), (two, TWO, "3.png")):
        assert (result["source"], result["width"], result["height"], result["error"]) == (name, 320, 192, None)
        for face, wanted in zip(result["faces"], expected(predictor.predict(content)), strict=True):
            assert face.pop("probabilities") == pytest.approx(wanted.pop("probabilities"), abs=1e-5)
            assert face.pop("confidence") == pytest.approx(wanted.pop("confidence"), abs=1e-5)
            assert face == wanted
    assert len(two["faces"]) == 2
    assert (empty["faces"], empty["error"]) == ([], None)
    assert broken["error"].startswith("not an image, or an unsupported format")
    assert (broken["faces"], broken["width"]) == ([], None)


@pytest.mark.real_data
def test_photographs(tmp_path: Path) -> None:
    if not YUNET.is_file():
        pytest.skip("the photographs are not available")
    photos = [path.read_bytes() for path in sorted(MEDIA.glob("*.jpg"))]
    with running(YUNET) as url:
        results = post(url, *photos)["results"]
    predictor = Predictor(detector_model=YUNET)
    assert sum(len(result["faces"]) for result in results) == 7
    for result, content in zip(results, photos, strict=True):
        wanted = predictor.predict(content)
        assert [face["box"] for face in result["faces"]] == [list(face.box) for face in wanted]
        assert [face["emotion"] for face in result["faces"]] == [face.emotion for face in wanted]


def test_json_gives_the_same_as_a_form(service: str) -> None:
    texts = [base64.b64encode(TWO).decode(), "not base64!"]
    response = requests.post(f"{service}/v1/predict", json={"images": texts}, timeout=60)
    two, wrong = response.json()["results"]
    assert two == post(service, TWO)["results"][0] | {"source": "image 1"}
    assert wrong["source"] == "image 2"
    assert wrong["error"].startswith("not base64")


def test_parameters(service: str) -> None:
    assert len(post(service, TWO, max_faces=1)["results"][0]["faces"]) == 1
    [face] = post(service, ONE, min_confidence=1)["results"][0]["faces"]
    assert face["emotion"] is None
    assert face["confidence"] == max(face["probabilities"].values())
    [whole] = post(service, ONE, detector="none")["results"][0]["faces"]
    assert (whole["box"], whole["detection_score"], whole["landmarks"]) == ([64, 0, 192, 192], None, None)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_confidence": 2}, "min_confidence: Input should be less than or equal to 1."),
        ({"max_faces": 0}, "max_faces: Input should be greater than or equal to 1."),
        ({"detector": "/etc/passwd"}, "detector: Input should be 'auto', 'yunet', 'haar' or 'none'."),
    ],
)
def test_wrong_parameters_are_named(service: str, parameters: dict[str, Any], message: str) -> None:
    response = requests.post(f"{service}/v1/predict", files=files(ONE), params=parameters, timeout=60)
    assert (response.status_code, response.json()) == (422, {"error": message})


def test_concurrent_requests_share_network_calls(detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_WAIT", 0.2)  # as on a machine that is 100 times slower
    with running(detector) as url, ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda content: post(url, content), [ONE, TWO] * 8))
        assert [len(answer["results"][0]["faces"]) for answer in answers] == [1, 2] * 8
        assert metric(url, "ferlab_batch_faces_sum") == 24
        assert metric(url, "ferlab_batch_faces_count") < 12


def test_a_full_queue_says_when_to_try_again(detector: Path) -> None:
    with running(detector, max_queue=1) as url:
        response = requests.post(f"{url}/v1/predict", files=files(ONE, TWO), timeout=60)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert response.json() == {"error": "The service is busy. Try again in 2 seconds."}
        assert len(post(url, ONE)["results"]) == 1  # the refused request has left the queue


def test_metrics_show_the_class_mix_and_the_confidence(detector: Path) -> None:
    with running(detector) as url:
        faces = [face for result in post(url, ONE, TWO, b"broken", photo())["results"] for face in result["faces"]]
        assert metric(url, 'ferlab_requests_total{path="/v1/predict",status="200"}') == 1
        assert metric(url, "ferlab_faces_total") == 3
        assert metric(url, 'ferlab_images_total{result="no_face"}') == 1
        assert metric(url, 'ferlab_images_total{result="error"}') == 1
        assert metric(url, "ferlab_confidence_sum") == pytest.approx(sum(face["confidence"] for face in faces))
        assert metric(url, "ferlab_queue_images") == 0
        requests.get(f"{url}/any/path", timeout=60)
        assert metric(url, 'ferlab_requests_total{path="other",status="404"}') == 1  # not one label per path


def test_model_card_says_what_the_repository_says(service: str) -> None:
    card = requests.get(f"{service}/v1/model", timeout=60).json()
    assert (card["schema"], card["name"], len(card["class_names"])) == (1, "fast", 7)
    assert 0.8 < card["accuracy"]["validation"] < 0.95
    assert card["license"]["code and weights"] == "Apache-2.0"
    assert any("models trained on FER+ miss" in limit for limit in card["limits"])
    written = re.sub(r"\s+", " ", (ROOT / "docs" / "models" / "index.md").read_text(encoding="utf-8"))
    for sentence in ("A facial expression is not a feeling", "How accuracy depends on them was not tested"):
        assert sentence in written
        assert sentence in " ".join([card["intended_use"], *card["limits"]])


def test_health_and_description(service: str) -> None:
    for path in ("healthz", "readyz"):
        assert requests.get(f"{service}/{path}", timeout=60).json() == {"status": "ok"}
    described = requests.get(f"{service}/openapi.json", timeout=60).json()
    assert set(described["paths"]) == {"/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics"}
    page = requests.get(f"{service}/docs", timeout=60)
    assert "POST /v1/predict" in page.text
    assert not re.search(r"<script|https?://", page.text)
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_answers_carry_headers_of_security(service: str) -> None:
    headers = requests.get(f"{service}/v1/model", timeout=60).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


def test_only_given_origins_may_read_answers(detector: Path) -> None:
    with running(detector, origins=("https://app.example",)) as url:
        for origin, allowed in (("https://app.example", "https://app.example"), ("https://evil.example", None)):
            answer = requests.get(f"{url}/v1/model", headers={"Origin": origin}, timeout=60)
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_the_latency_of_a_request_ends_with_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What surrounds it may still receive the rest of a refused upload."""
    now, metrics = 0.0, Metrics()
    monkeypatch.setattr("ferlab.serve.middleware.time.perf_counter", lambda: now)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413})
        await send({"type": "http.response.body"})

    async def lingering(message: Message) -> None:
        nonlocal now
        now += 1 if message["type"] == "http.response.start" else 30

    asyncio.run(CountRequests(app, metrics)({"type": "http"}, None, lingering))  # type: ignore[arg-type]
    assert 'ferlab_request_seconds_sum{path="other"} 1.0' in metrics.text().decode()
