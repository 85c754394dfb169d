"""The web application: its routes, and what surrounds them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

import ferlab
from ferlab.serve.access import SUBPROTOCOL, check_origin, check_token
from ferlab.serve.api_page import api_page, api_page_policy
from ferlab.serve.card import model_card
from ferlab.serve.engine import Engine
from ferlab.serve.metrics import Metrics
from ferlab.serve.middleware import HEADERS, CountRequests, Harden, Linger
from ferlab.serve.refusals import Places, Refusal, busy
from ferlab.serve.settings import ServeSettings
from ferlab.serve.stream import Stream
from ferlab.serve.uploads import FIELD, read_uploads
from ferlab.serve.wire import ErrorResponse, ModelResponse, PredictBody, PredictResponse, image_result

PAGE = Path(__file__).with_name("page")
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in (400, 401, 408, 413, 415, 422, 429, 503)
}
FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: {"type": "array", "items": FILE}}}
REQUEST_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": FORM},
        "application/json": {"schema": PredictBody.model_json_schema()},
    },
}
MinConfidence = Annotated[float, Query(description="Leave the emotion blank below this confidence.", ge=0, le=1)]
MaxFaces = Annotated[int | None, Query(description="Return at most this many faces per image, the largest.", ge=1)]
DetectorName = Annotated[
    Literal["auto", "yunet", "haar", "none"], Query(description="Face detector; `none`: each image is one face.")
]
router = APIRouter()


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the routes share."""

    settings: ServeSettings
    metrics: Metrics
    engine: Engine
    requests: Places
    streams: Places


def create_app(settings: ServeSettings) -> FastAPI:
    """Make the application.

    Raises:
        ArtifactError: if the model file is not valid.
        DetectorError: if no detector is available.
    """
    metrics = Metrics()
    service = Service(
        settings=settings,
        metrics=metrics,
        engine=Engine(settings, metrics),
        requests=Places(settings.max_requests, settings.max_requests_per_client, "requests"),
        streams=Places(settings.max_streams, settings.max_streams_per_client, "streams"),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.engine.start()
        yield
        service.engine.stop()
        metrics.close()

    app = FastAPI(
        title="ferlab",
        version=ferlab.__version__,
        description="Detects faces and predicts their emotions. Images are not stored.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(router)
    app.mount("/", StaticFiles(directory=PAGE, html=True, check_dir=False), name="page")
    app.add_middleware(
        CORSMiddleware, allow_origins=settings.origins, allow_methods=["GET", "POST"], allow_headers=["Authorization"]
    )
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(Linger, idle_timeout=settings.idle_timeout)
    app.add_middleware(Harden)
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_value)
    app.add_exception_handler(WebSocketRequestValidationError, _on_invalid_stream)
    app.add_exception_handler(Exception, _on_unexpected)
    return app


def _service(connection: HTTPConnection) -> Service:
    return connection.app.state.service


def _client(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def _on_refusal(_: Request, error: Any) -> Response:
    return _error(error.status, error.message, error.headers)


def _on_http_exception(_: Request, error: Any) -> Response:
    return _error(error.status_code, f"{error.detail}. The page /docs lists all addresses.", error.headers)


def _on_invalid_value(_: Request, error: Any) -> Response:
    [first, *_] = error.errors()
    return _error(422, f"{first['loc'][-1]}: {first['msg']}.")


async def _on_invalid_stream(websocket: Any, error: Any) -> None:
    await websocket.send_denial_response(_on_invalid_value(websocket, error))


def _on_unexpected(_: Request, __: Any) -> Response:
    # Starlette answers outside of `Harden`.
    headers = HEADERS | {"Cache-Control": "no-store"}
    return _error(500, "Internal error. It is in the log of the server.", headers)


@router.post(
    "/v1/predict",
    response_model=PredictResponse,
    responses=REFUSALS,
    openapi_extra={"requestBody": REQUEST_BODY},
    summary="Predict the emotions of all faces in images",
)
async def predict(
    request: Request,
    min_confidence: MinConfidence = 0.0,
    max_faces: MaxFaces = None,
    detector: DetectorName = "auto",
) -> PredictResponse:
    """Send images as multipart/form-data in the field `files`, or as base64 text in JSON.

    An image that cannot be read has an `error`; the others have their faces.
    """
    service = _service(request)
    check_token(request.headers, service.settings)
    with service.requests.take(_client(request)), service.metrics.in_flight.track_inprogress():
        uploads = await read_uploads(request, service.settings)
        started = time.perf_counter()
        results = await service.engine.predict(uploads, detector=detector, max_faces=max_faces)
    for result in results:
        service.metrics.image(None if isinstance(result, str) else result.faces)
    pairs = zip(uploads, results, strict=True)
    return PredictResponse(
        model=service.engine.artifact.name,
        results=[image_result(upload.name, result, min_confidence) for upload, result in pairs],
        ms=1000 * (time.perf_counter() - started),
    )


@router.websocket("/v1/stream")
async def stream(websocket: WebSocket, min_confidence: MinConfidence = 0.0) -> None:
    """Answer the newest frame of a stream, again and again."""
    service, offered = _service(websocket), websocket.scope["subprotocols"]
    try:
        check_origin(websocket.headers, service.settings)
        check_token(websocket.headers, service.settings, offered)
        with service.streams.take(_client(websocket)), service.metrics.streams.track_inprogress():
            await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
            await Stream(websocket, service.engine, service.metrics, min_confidence).run()
    except Refusal as refusal:
        await websocket.send_denial_response(_error(refusal.status, refusal.message, refusal.headers))


@router.get("/v1/model", response_model=ModelResponse, responses={401: {"model": ErrorResponse}}, summary="Model card")
async def model(request: Request) -> ModelResponse:
    """What the model is, what it is for, and where it fails."""
    service = _service(request)
    check_token(request.headers, service.settings)
    return model_card(service.engine.artifact)


@router.get("/healthz", summary="Whether the process runs")
async def healthz() -> dict[str, str]:
    """For a supervisor that restarts the process."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": ErrorResponse}}, summary="Whether the queue has room")
async def readyz(request: Request) -> dict[str, str]:
    """For a load balancer."""
    if _service(request).engine.full:
        raise busy()
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={401: {"model": ErrorResponse}}, summary="Metrics")
async def metrics(request: Request) -> Response:
    """Requests, latency, queue, faces, class mix and confidence, for Prometheus."""
    service = _service(request)
    check_token(request.headers, service.settings)
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """This API as a page, which loads nothing from elsewhere."""
    return HTMLResponse(api_page(request.app.openapi()), headers={"Content-Security-Policy": api_page_policy()})
