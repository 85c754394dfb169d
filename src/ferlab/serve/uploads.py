"""Receive the images of a request in memory, within limits that are checked while it arrives."""

import asyncio
import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from ferlab.formatting import printable
from ferlab.serve.refusals import Refusal
from ferlab.serve.settings import ServeSettings

FIELD = "files"
MAX_NAME = 200  # characters of a file name that are kept
HOW = 'Send image files as multipart/form-data in the field \'files\', or as JSON: {"images": ["<base64>", ...]}.'


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An image file that a client sent.

    Args:
        name: its file name without folders, or `image N`.
        content: the bytes of the file; None if they cannot be decoded from base64.
    """

    name: str
    content: bytes | None


async def read_uploads(request: Request, settings: ServeSettings) -> list[Upload]:
    """Receive the images of a request.

    Raises:
        Refusal: if the request is too large, too slow, incomplete, or of another form.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == b"multipart/form-data" and b"boundary" in options:
        try:
            form = Form(options[b"boundary"], settings.max_files)
            await _receive(request, form.write, settings)
        except FormParserError:
            raise Refusal(400, f"The multipart form is damaged. {HOW}") from None
        return form.uploads()
    if kind == b"application/json":
        body = bytearray()
        await _receive(request, body.extend, settings)
        return await asyncio.to_thread(_from_json, bytes(body), settings.max_files)
    raise Refusal(415, HOW)


async def _receive(request: Request, feed: Callable[[bytes], None], settings: ServeSettings) -> None:
    """Pass on a body as it arrives. A body that is announced as too large is refused before it is sent."""
    too_large = Refusal(413, f"Send at most {settings.max_upload:,} bytes per request.")
    if int(request.headers.get("content-length", 0)) > settings.max_upload:  # the HTTP parser has checked the number
        raise too_large
    received, chunks = 0, aiter(request.stream())
    try:
        async with asyncio.timeout(settings.upload_timeout):
            while True:
                async with asyncio.timeout(settings.idle_timeout):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                received += len(chunk)
                if received > settings.max_upload:
                    raise too_large
                feed(chunk)
    except TimeoutError:
        raise Refusal(408, "The request arrived too slowly. Send smaller images.") from None
    except ClientDisconnect:
        raise Refusal(400, "The connection was closed before the request was complete.") from None


class Form:
    """Collects the files of a multipart form in memory.

    Args:
        boundary: the line between the parts.
        max_files: number of files above which the form is refused.

    Raises:
        FormParserError: if the boundary is too long.
    """

    def __init__(self, boundary: bytes, max_files: int) -> None:
        self._max_files, self._complete = max_files, False
        self._files: list[tuple[str, bytearray]] = []
        self._header, self._value, self._disposition = b"", b"", b""
        self._parser = python_multipart.MultipartParser(
            boundary,
            {
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Parse the next part of the body.

        Raises:
            FormParserError: if it is not a multipart form.
            Refusal: if it has another field or too many files.
        """
        self._parser.write(chunk)

    def uploads(self) -> list[Upload]:
        """Return the files.

        Raises:
            Refusal: if the form is incomplete or empty.
        """
        if not self._complete:
            raise Refusal(400, f"The multipart form is incomplete. {HOW}")
        if not self._files:
            raise Refusal(400, f"The form contains no file. {HOW}")
        files = enumerate(self._files, start=1)
        return [Upload(name=_file_name(name, number), content=bytes(content)) for number, (name, content) in files]

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        if options.get(b"name") != FIELD.encode():
            raise Refusal(422, f"The form has a field other than '{FIELD}'. {HOW}")
        if len(self._files) == self._max_files:
            raise _too_many(self._max_files)
        self._files.append((options.get(b"filename", b"").decode(errors="replace"), bytearray()))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._files[-1][1].extend(data[start:end])

    def _on_end(self) -> None:
        self._complete = True


def _too_many(max_files: int) -> Refusal:
    return Refusal(413, f"Send at most {max_files} images per request.")


def _from_json(body: bytes, max_files: int) -> list[Upload]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, f"The body is not valid JSON. {HOW}") from None
    texts = content.get("images") if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(texts, list) or not texts:
        raise Refusal(422, f"The JSON must have the key 'images' alone, with a list of base64 texts. {HOW}")
    if len(texts) > max_files:
        raise _too_many(max_files)
    if wrong := [number for number, text in enumerate(texts, start=1) if not isinstance(text, str)]:
        raise Refusal(422, f"Image {wrong[0]} is not a base64 text. {HOW}")
    return [Upload(name=f"image {number}", content=_decoded(text)) for number, text in enumerate(texts, start=1)]


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _file_name(given: str, number: int) -> str:
    """Return the last part of a file name, which a browser or an attacker may send with folders.

    Example:
        >>> _file_name("../../etc/passwd", 1), _file_name("", 2)
        ('passwd', 'image 2')
    """
    return printable(PurePosixPath(given.replace("\\", "/")).name)[:MAX_NAME] or f"image {number}"
