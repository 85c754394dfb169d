"""The page `/docs`: the OpenAPI description as plain HTML. It needs no script, and nothing from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = (
    ":root{color-scheme:light dark;font-family:system-ui,sans-serif;line-height:1.5}body{max-width:60rem;margin:2rem "
    "auto;padding:0 1rem}code,pre{font-family:ui-monospace,monospace}pre{overflow-x:auto}"
)


def api_page_policy() -> str:
    """Return the content security policy of the page: its own style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"


def api_page(description: dict[str, Any]) -> str:
    """Render an OpenAPI description as HTML."""
    info = description["info"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
            '<p>The same as OpenAPI: <a href="openapi.json">openapi.json</a></p>',
            *_operations(description["paths"]),
            "<h2><code>WS /v1/stream</code></h2><p>Send one binary message per JPEG or WebP frame. Each answer is a "
            "JSON text. The parameter is <code>min_confidence</code>.</p>",
            "<h2>Types</h2>",
            *_types(description["components"]["schemas"]),
            "</body></html>",
        ]
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{_text(operation['summary'])}. {_text(operation.get('description', ''))}</p>"
            for item in operation.get("parameters", []):
                yield f"<p><code>{escape(item['name'])}</code>: {_text(item.get('description', ''))}</p>"
            yield f"<p>Answers: {', '.join(escape(status) for status in operation['responses'])}</p>"


def _text(text: str) -> str:
    """Escape text, and mark what is between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _types(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=2))}</pre>'
