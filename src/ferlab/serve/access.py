"""Who may use the service: bearer tokens, and the web pages of which origins."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from ferlab.serve.refusals import Refusal
from ferlab.serve.settings import ServeSettings

SUBPROTOCOL = "ferlab"
TOKEN_SUBPROTOCOL = "bearer."  # followed by the token in base64url: browsers cannot send headers with a WebSocket


def check_token(headers: Headers, settings: ServeSettings, subprotocols: Sequence[str] = ()) -> None:
    """Check the bearer token of a request.

    Raises:
        Refusal: if the service has a token, and the request does not carry it.
    """
    if settings.token is None:
        return
    scheme, _, token = headers.get("authorization", "").partition(" ")
    sent = [token.strip()] if scheme.lower() == "bearer" else _subprotocol_tokens(subprotocols)
    if not any(hmac.compare_digest(text.encode(), settings.token.encode()) for text in sent):
        raise Refusal(401, "Send the token of this server in the header 'Authorization: Bearer <token>'.")


def _subprotocol_tokens(subprotocols: Sequence[str]) -> list[str]:
    encoded = [name.removeprefix(TOKEN_SUBPROTOCOL) for name in subprotocols if name.startswith(TOKEN_SUBPROTOCOL)]
    try:
        return [base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() for text in encoded]
    except (binascii.Error, ValueError):
        return []


def check_origin(headers: Headers, settings: ServeSettings) -> None:
    """Check from which web page a WebSocket is opened. Programs that are not browsers send no origin.

    Raises:
        Refusal: if the page is not of this service, and its origin is not allowed.
    """
    origin = headers.get("origin")
    if origin is None or origin in settings.origins or "*" in settings.origins:
        return
    try:
        own = urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # such as http://[
        own = False
    if not own:
        raise Refusal(403, "Pages of this origin may not use the server. Start it with --cors and the origin.")
