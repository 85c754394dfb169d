"""Download an image from a URL, within limits of size and time."""

import queue
import threading
import time

from ferlab.errors import ImageError

MAX_BYTES = 64 * 2**20
MAX_SECONDS = 30.0  # for the whole download
SILENT_SECONDS = 10.0  # after which a silent server is given up
CHUNK = 2**16  # bytes


def download(url: str) -> bytes:
    """Download a file over http or https. Redirects are followed, but only to these two.

    Raises:
        ImageError: if the server cannot be reached, answers with an error, or sends more than 64 MiB; or if the
            download takes more than 30 seconds.
    """
    outcome: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    # A thread, because a name lookup and a server that sends its headers byte by byte know no time limit.
    threading.Thread(target=_run, args=(url, outcome), daemon=True).start()
    try:
        result = outcome.get(timeout=MAX_SECONDS)
    except queue.Empty:
        result = TimeoutError()
    if isinstance(result, bytes):
        return result
    raise ImageError(f"{url} cannot be downloaded: {_reason(result)}")


def _run(url: str, outcome: "queue.SimpleQueue[bytes | Exception]") -> None:
    try:
        outcome.put(_fetch(url))
    except Exception as error:
        outcome.put(error)


def _fetch(url: str) -> bytes:
    import urllib.request

    opener = urllib.request.OpenerDirector()  # without the handlers of other protocols, such as file: and ftp:
    for handler in (
        *(urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler),
        *(urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor),
        *(urllib.request.HTTPDefaultErrorHandler, urllib.request.UnknownHandler),
    ):
        opener.add_handler(handler())
    deadline = time.monotonic() + MAX_SECONDS
    request = urllib.request.Request(url, headers={"User-Agent": "ferlab"})
    content = bytearray()
    with opener.open(request, timeout=SILENT_SECONDS) as response:
        while chunk := response.read1(CHUNK):
            content += chunk
            if len(content) > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
            if time.monotonic() > deadline:
                raise TimeoutError
        if response.length:  # bytes of the stated length that are missing
            raise ValueError("the connection was closed before the end")
    return bytes(content)


def _reason(error: Exception) -> str:
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        with error:  # it is also the response
            return str(error).splitlines()[0]
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "no complete answer in time"
    return (isinstance(reason, OSError) and reason.strerror) or str(reason) or type(reason).__name__
