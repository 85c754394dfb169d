"""`Refusal`: a request that is refused, with one line that says what to do. `Places`: how many run at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

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


class Places:
    """Limits how many requests, or streams, run at the same time.

    Args:
        total: how many in all.
        per_client: how many from one address.
        what: what is limited, for the message.
    """

    def __init__(self, total: int, per_client: int, what: str) -> None:
        self._total, self._per_client, self._what = total, per_client, what
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, client: str) -> Iterator[None]:
        """Take a place while a request or stream lasts.

        Raises:
            Refusal: if there is none left.
        """
        if self._taken[client] >= self._per_client:
            raise Refusal(
                429, f"More than {self._per_client} {self._what} at once from your address. Wait until one has ended."
            )
        if self._taken.total() >= self._total:
            raise busy()
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]
