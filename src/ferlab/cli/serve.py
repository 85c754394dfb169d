"""`ferlab serve`."""

import ipaddress
from collections.abc import Callable
from typing import Annotated

import typer

from ferlab.cli.options import PredictorOption
from ferlab.errors import MissingExtraError
from ferlab.predict.packaged import DEFAULT_MODEL
from ferlab.progress import console
from ferlab.serve.settings import ServeSettings, parse_size, read_token

PACKAGES = ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "websockets")  # of the extra `serve`


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError:
        raise typer.BadParameter(f"expected a number such as 10MB or 40M, got '{text}'.") from None


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; `0.0.0.0` for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 8000,
    model: PredictorOption = DEFAULT_MODEL,
    workers: Annotated[int, typer.Option(metavar="N", help="Number of processes. Each loads the model.", min=1)] = 1,
    max_upload: Annotated[
        int, typer.Option(metavar="SIZE", parser=_size, help="Largest request, and largest frame of a stream.")
    ] = "10MB",  # type: ignore[assignment]  # parsed as if the user had typed it
    max_pixels: Annotated[
        int, typer.Option(metavar="PIXELS", parser=_size, help="Largest image. It is checked before decoding.")
    ] = "40M",  # type: ignore[assignment]
    token_env: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="Environment variable with the token that clients must send."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Web origin whose pages may use the service; may be repeated."),
    ] = None,
) -> None:
    """Serve predictions over HTTP, with a live page. Needs `ferlab[serve]`.

    For example:

        ferlab serve

    Open http://127.0.0.1:8000 for the page, and http://127.0.0.1:8000/docs for the API.

    On a network, use a token, and TLS from a reverse proxy:

        ferlab serve --host 0.0.0.0 --token-env FERLAB_TOKEN

    Images are neither stored nor logged.
    """
    settings = ServeSettings(
        model=model,
        workers=workers,
        token=read_token(token_env) if token_env else None,
        origins=tuple(cors or ()),
        max_upload=max_upload,
        max_pixels=max_pixels,
    )
    if not settings.token and not _is_loopback(host):
        console().print(f"warning: anyone who reaches {host} can use this service. Set a token with --token-env.")
    run = _import_serve()
    run(settings, host, port, lambda url: console().print(f"Serving {url} (Ctrl-C to stop)"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _import_serve() -> Callable[[ServeSettings, str, int, Callable[[str], None]], None]:
    """Import the service.

    Raises:
        MissingExtraError: if the libraries of the extra `serve` are not installed.
    """
    try:
        from ferlab.serve.run import serve as run
    except ModuleNotFoundError as error:
        if error.name in PACKAGES:
            raise MissingExtraError("serve", error.name) from None
        raise
    return run
