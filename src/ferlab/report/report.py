"""The two forms of a report: one HTML file that needs nothing else, and Markdown with pictures beside it."""

import base64
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ferlab.errors import MissingExtraError
from ferlab.files import write_atomically
from ferlab.formatting import count, duration, percent

TEMPLATES = Path(__file__).with_name("templates")
PICTURES = "report-files"  # folder of the Markdown report's pictures

# What the browser runs: each chart is drawn into its place.
SCRIPT = """
for (const [id, spec] of Object.entries(window.charts)) vegaEmbed('#' + id, spec, {renderer: 'svg', actions: false});
"""


def write_report(folder: Path, *, images: bool = True) -> Path:
    """Writes `report.html` and `report.md` from `comparison.json` and the run folders that it names.

    Args:
        folder: of a comparison.
        images: include images of the data set; not in a report that is published where its terms forbid that.

    Returns:
        The HTML file. The Markdown file's charts and images lie in `report-files`.

    Raises:
        RunError: if there is no comparison.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    try:
        import altair  # noqa: F401
        import jinja2
        import vl_convert
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluate", error.name or "altair") from None
    from ferlab.report.contents import gather

    contents = gather(folder, images)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": count, "duration": duration, "data_url": _data_url}
    specs: dict[str, Mapping[str, Any]] = {}
    page = environment.get_template("report.html.jinja").render(
        report=contents,
        place=partial(_place, specs),
        specs=lambda: _json_for_script(specs),
        vega=vl_convert.javascript_bundle(SCRIPT),
    )
    _remove_pictures(folder)
    files: dict[str, str] = {}
    markdown = (
        environment.overlay(finalize=_in_markdown)
        .get_template("report.md.jinja")
        .render(
            report=contents, chart=partial(_chart_file, folder, files), picture=partial(_picture_file, folder, files)
        )
    )
    _write(folder / "report.html", page.encode())
    _write(folder / "report.md", markdown.encode())
    return folder / "report.html"


def _remove_pictures(folder: Path) -> None:
    """Those of an earlier report, which may have shown more."""
    for suffix in (".svg", ".png"):
        for file in (folder / PICTURES).glob(f"*{suffix}"):
            file.unlink()


def _in_markdown(value: Any) -> Any:
    """Text as Markdown shows it, in a table too; what a template calls safe is left as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return re.sub(r"([\\`*<>\[\]|])", r"\\\1", value.replace("\n", " "))


def _place(specs: dict[str, Mapping[str, Any]], chart: Any) -> str:
    """Takes note of a chart, and returns the id of its place."""
    name = f"chart-{len(specs)}"
    specs[name] = chart.spec
    return name


def _json_for_script(values: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element in which it stands."""
    return json.dumps(values).replace("<", "\\u003c")


def _chart_file(folder: Path, files: dict[str, str], chart: Any) -> str:
    from ferlab.report.charts import render_svg

    return _beside(folder, files, chart.name, ".svg", render_svg(chart.spec).encode())


def _picture_file(folder: Path, files: dict[str, str], name: str, image: np.ndarray) -> str:
    return _beside(folder, files, name, ".png", _png(image))


def _beside(folder: Path, files: dict[str, str], name: str, suffix: str, content: bytes) -> str:
    """Writes a picture of the Markdown report, and returns its address there.

    Args:
        folder: of the report.
        files: names by address, of all pictures so far: two names that look alike as addresses get a number each.
        name: of the picture.
        suffix: of the file.
        content: of the file.
    """
    slug, number = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80], 1
    address = f"{PICTURES}/{slug}{suffix}"
    while files.setdefault(address, name) != name:
        number += 1
        address = f"{PICTURES}/{slug}-{number}{suffix}"
    _write(folder / address, content)
    return address


def _data_url(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(_png(image)).decode()


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))
