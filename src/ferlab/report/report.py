"""`write_report`: a comparison as one self-contained HTML file, and as Markdown with images beside it."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.files import remove_abandoned, write_atomically, write_text
from ferlab.report import html
from ferlab.report.svg import load_charts

if TYPE_CHECKING:
    from ferlab.report.figures import Figure

TEMPLATES = Path(__file__).with_name("templates")
IMAGES = "report-files"  # folder of the Markdown report's images

# Run by the browser: draws each chart into its element.
SCRIPT = """
for (const [id, spec] of Object.entries(window.charts)) vegaEmbed('#' + id, spec, {renderer: 'svg', actions: false});
"""


def write_report(folder: str | Path, *, images: bool = True) -> Path:
    """Write `report.html` and `report.md` from `comparison.json` and the run folders that it lists.

    Args:
        folder: folder of the comparison.
        images: include images of the dataset. FER2013's terms forbid publishing them.

    Returns:
        The HTML file. The charts and images of the Markdown file are in `report-files`.

    Raises:
        RunError: if there is no comparison.
        MissingExtraError: if the libraries of the extra `evaluate` are not installed.
    """
    load_charts()  # fails before anything is written
    import vl_convert

    from ferlab.report.contents import gather

    folder = Path(folder)
    contents = gather(folder, images)
    for written in (folder, folder / IMAGES):
        remove_abandoned(written)
    templates = html.environment(TEMPLATES)
    specs: dict[str, Mapping[str, Any]] = {}
    page = templates.get_template("report.html.jinja").render(
        report=contents,
        place=partial(_place, specs),
        specs=lambda: _json_for_script(specs),
        vega=vl_convert.javascript_bundle(SCRIPT),
    )
    files = _MarkdownImages(folder)
    markdown = (
        templates.overlay(finalize=escape_markdown)
        .get_template("report.md.jinja")
        .render(report=contents, chart=files.chart, image=files.image)
    )
    write_text(folder / "report.html", page)
    write_text(folder / "report.md", markdown)
    return folder / "report.html"


def escape_markdown(value: Any) -> Any:
    """Escape text for Markdown, tables included, unless the template marks it as safe."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return re.sub(r"([\\`*<>\[\]|])", r"\\\1", value.replace("\n", " "))


def _place(specs: dict[str, Mapping[str, Any]], figure: "Figure") -> str:
    """Record a chart, and return the id of its element in the page."""
    name = f"chart-{len(specs)}"
    specs[name] = figure.spec
    return name


def _json_for_script(values: Mapping[str, Any]) -> str:
    """Convert to JSON that cannot end the script element around it."""
    return json.dumps(values).replace("<", "\\u003c")


class _MarkdownImages:
    """The images beside the Markdown report. Those of an earlier report are removed.

    Args:
        folder: folder of the report.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}  # by path; names that would share a path are numbered
        for suffix in (".svg", ".png"):
            for file in (folder / IMAGES).glob(f"*{suffix}"):
                file.unlink()

    def chart(self, figure: "Figure") -> str:
        """Write a chart as SVG, and return its path."""
        from ferlab.report.charts import render_svg

        return self._write(figure.name, ".svg", render_svg(figure.spec).encode())

    def image(self, name: str, image: np.ndarray) -> str:
        """Write an image as PNG, and return its path."""
        return self._write(name, ".png", html.png(image))

    def _write(self, name: str, suffix: str, content: bytes) -> str:
        slug, number = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80], 1
        path = f"{IMAGES}/{slug}{suffix}"
        while self.names.setdefault(path, name) != name:
            number += 1
            path = f"{IMAGES}/{slug}-{number}{suffix}"
        write_atomically(self.folder / path, lambda file: file.write(content))
        return path
