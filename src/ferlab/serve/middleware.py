"""What surrounds every request: limits of its headers, headers of its answer, and metrics."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferlab.serve.metrics import Metrics

MAX_HEADERS = 100
MAX_HEADER_BYTES = 16_384
LINGER = 30.0  # seconds in which the rest of a refused upload is received and thrown away
# The page runs ONNX Runtime as WebAssembly, and shows images and videos that the user chose.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",  # lets WebAssembly use threads
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Harden:
    """Refuses requests with too many headers, and adds headers of security to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def send_hardened(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        app = self._app
        if scope["type"] != "lifespan" and _too_long(scope["headers"]):
            app = JSONResponse({"error": f"Send at most {MAX_HEADERS} headers and {MAX_HEADER_BYTES:,} bytes."}, 431)
        await app(scope, receive, send_hardened)


def _too_long(headers: list[tuple[bytes, bytes]]) -> bool:
    return len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES


class Linger:
    """Answers requests early, while their body is still being sent, in a way that the client gets the answer.

    If the connection were closed at once, the client's system would discard the answer with what is still on its way.
    So the answer ends only when the client has stopped sending.
    """

    def __init__(self, app: ASGIApp, idle_timeout: float) -> None:
        self._app, self._idle_timeout = app, idle_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        complete = False

        async def receive_noted() -> Message:
            nonlocal complete
            message = await receive()
            complete = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_lingering(message: Message) -> None:
            nonlocal complete
            if message.get("status") == HTTPStatus.REQUEST_TIMEOUT:  # there is nothing to wait for
                complete = True
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and not complete:
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        while not complete:
                            await asyncio.wait_for(receive_noted(), self._idle_timeout)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, receive_noted, send_lingering)


class CountRequests:
    """Counts and times requests by the path of their route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started, seconds = 500, time.perf_counter(), 0.0

        async def send_noted(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                seconds = time.perf_counter() - started  # the middleware around this one may linger
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(seconds or time.perf_counter() - started)
