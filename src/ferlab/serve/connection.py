"""Connections that end if a client does not send its request in time, or does not read what it is sent."""

import json
from asyncio import BaseTransport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_UNREAD = 1_000_000  # bytes sent to a WebSocket client that it has not read

MALFORMED = json.dumps({"error": "This is not an HTTP request, or its headers are longer than 16 KB."}).encode()


class TimedConnection(H11Protocol):
    """An HTTP connection, as uvicorn's.

    It ends if no request begins within a time limit, or if the client reads nothing of an answer for so long, so that
    slow clients cannot hold all connections. Within a request, the routes limit the time. h11 limits the length of
    headers.

    Args:
        header_timeout: seconds in which the headers of a request must arrive, and a part of an answer must be read.
    """

    def __init__(self, *args: Any, header_timeout: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._header_timeout = header_timeout
        self._unread = 0  # bytes of answers that the client had not read at the last check

    def connection_made(self, transport: BaseTransport) -> None:
        """Start the time limit."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._expect_request()

    def _expect_request(self) -> None:
        self.loop.call_later(self._header_timeout, self._check_request, self.cycle)

    def _check_request(self, last: RequestResponseCycle | None) -> None:
        """Close the connection if since the last check it has been waiting for a request, or for its client to read."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a WebSocket has taken over
            return
        waiting = self.cycle is None or self.cycle.response_complete
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        if (waiting and self.cycle is last) or (self._unread and self._unread == before):
            self.transport.abort()
        else:
            self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP. The base class would send plain text, and fail after the start of a response."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(MALFORMED)}\r\n"
            self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + MALFORMED)
        self.transport.close()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket, as uvicorn's.

    It ends if its client does not read what it is sent, such as answers to its pings.
    """

    async def send(self, message: Any) -> None:
        """Send a message. To the base class, a handshake that was refused is not complete, and it logs an error."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """Answer a ping, unless too many answers are unread."""
        if self.transport.is_closing():
            return
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """End the connection. The base class would wait for the client to read the rest."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()
