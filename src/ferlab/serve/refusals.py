"""`Refusal`: a request that is refused, with one line that says what to do. `Admission`: how many run at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ferlab.serve.settings import ServeSettings

RETRY_AFTER = 2  # seconds


class Refusal(Exception):
    """A request is refused.

    Args:
        status: the HTTP status.
        message: one line that says what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to the status."""
        if self.status in (429, 503):
            return {"Retry-After": str(RETRY_AFTER)}
        return {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}


def busy() -> Refusal:
    """Return the refusal of a service with a full queue."""
    return Refusal(503, f"The service is busy. Try again in {RETRY_AFTER} seconds.")


class Admission:
    """Limits how many predictions and streams run at the same time."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._by_client: Counter[str] = Counter()
        self._streams = 0

    @contextmanager
    def request(self, client: str) -> Iterator[None]:
        """Count a request while it lasts.

        Raises:
            Refusal: if there are too many already.
        """
        if self._by_client[client] >= self._settings.max_requests_per_client:
            limit = self._settings.max_requests_per_client
            raise Refusal(429, f"More than {limit} requests at once from your address. Wait for answers first.")
        if self._by_client.total() >= self._settings.max_requests:
            raise busy()
        self._by_client[client] += 1
        try:
            yield
        finally:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            Refusal: if too many are open already.
        """
        if self._streams >= self._settings.max_streams:
            raise busy()
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1
