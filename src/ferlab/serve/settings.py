"""`ServeSettings`: what a service runs, and its limits."""

import math
import os
from dataclasses import dataclass, field

from ferlab.errors import ServeError
from ferlab.predict.packaged import DEFAULT_MODEL

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """What a service runs, and its limits. All limits are per process.

    Args:
        model: an artifact file, or the name of a network in the package.
        workers: number of processes. They share the cores.
        token: the bearer token that clients must send; None for no check.
        origins: web origins, other than that of the service, whose pages may use it.
        max_upload: bytes per request, and per frame of a stream.
        max_pixels: pixels per image.
        max_files: images per request.
        max_queue: images that wait for a thread or are in one.
        max_requests: predictions that are received or answered at the same time.
        max_requests_per_client: the same, from one address.
        max_streams: open WebSocket streams.
        max_streams_per_client: the same, from one address.
        header_timeout: seconds in which the headers of a request must arrive.
        idle_timeout: seconds in which the next part of an upload must arrive.
        upload_timeout: seconds in which a whole upload must arrive.
        shutdown_timeout: seconds after SIGTERM in which requests are finished.
    """

    model: str = DEFAULT_MODEL
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    max_upload: int = 10_000_000
    max_pixels: int = 40_000_000
    max_files: int = 32
    max_queue: int = 256
    max_requests: int = 128
    max_requests_per_client: int = 64
    max_streams: int = 64
    max_streams_per_client: int = 32
    header_timeout: float = 10.0
    idle_timeout: float = 10.0
    upload_timeout: float = 120.0
    shutdown_timeout: int = 30

    @property
    def threads(self) -> int:
        """Number of threads that decode images and detect faces: the share of this process of the cores."""
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        return max(1, cores // self.workers)


def read_token(variable: str) -> str:
    """Read the token from an environment variable.

    Raises:
        ServeError: if the variable is not set, or contains anything but printable ASCII characters.
    """
    token = os.environ.get(variable, "")
    if not token:
        raise ServeError(
            f"The environment variable {variable}, which --token-env names, is not set. Set it to a long random text: "
            f"export {variable}=$(openssl rand -hex 32)"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ServeError(f"The token in {variable} must consist of ASCII characters without spaces.")
    return token


def parse_size(text: str) -> int:
    """Parse a number of bytes or pixels.

    Raises:
        ValueError: if the text is not a number with one of the units K, M and G, or without one.

    Example:
        >>> parse_size("10MB"), parse_size("40M"), parse_size("1.5 GB"), parse_size("500")
        (10000000, 40000000, 1500000000, 500)
    """
    number = text.strip().upper().removesuffix("B").strip()
    unit = number[-1:] if number[-1:] in UNITS else ""
    size = float(number.removesuffix(unit)) * UNITS[unit]
    if not 1 <= size < math.inf:
        raise ValueError(text)
    return int(size)
