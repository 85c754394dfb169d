"""`TimedConnection`: HTTP connections that end if a client does not send its request in time."""

import json
from asyncio import BaseTransport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MALFORMED = json.dumps({"error": "This is not an HTTP request, or its headers are longer than 16 KB."}).encode()


class TimedConnection(H11Protocol):
    """An HTTP connection, as uvicorn's.

    It ends if no request begins within a time limit, so that slow clients cannot hold all connections. Within a
    request, the routes limit the time. h11 limits the length of headers.

    Args:
        header_timeout: seconds in which the headers of a request must arrive.
    """

    def __init__(self, *args: Any, header_timeout: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._header_timeout = header_timeout

    def connection_made(self, transport: BaseTransport) -> None:
        """Start the time limit."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._expect_request()

    def _expect_request(self) -> None:
        self.loop.call_later(self._header_timeout, self._check_request, self.cycle)

    def _check_request(self, last: RequestResponseCycle | None) -> None:
        """Close the connection if it has been waiting for a request since the last check."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a WebSocket has taken over
            return
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and self.cycle is last:
            self.transport.abort()
        else:
            self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP. The base class would send plain text, and fail after the start of a response."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(MALFORMED)}\r\n"
            self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + MALFORMED)
        self.transport.close()
