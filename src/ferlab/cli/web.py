"""`ferlab web`."""

from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import DetectorModelOption
from ferlab.predict.packaged import DEFAULT_MODEL, NAMES
from ferlab.progress import console
from ferlab.serve.static_page import write_static_page


def web(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder; it must be new or empty.")],
    model: Annotated[
        str, typer.Option("--model", help=f"A network in the package ({NAMES}), or an .onnx file.")
    ] = DEFAULT_MODEL,
    detector_model: DetectorModelOption = None,
) -> None:
    """Write a web page that predicts emotions inside the browser, as static files. Needs npm and `ferlab[serve]`.

    For example:

        ferlab web --out site

    Any web server can serve the folder. Images do not leave the browser.
    """
    write_static_page(out, model, detector_model)
    console().print(f"{out} contains the page. To try it: python -m http.server --directory {out} 8000")
