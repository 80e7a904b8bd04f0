"""A page as one HTML file. Data flow: plain data + packed numbers + clip + assets > bytes.

Nothing in it asks for the network: its content security policy forbids it. Whatever names hold,
they stay text: JSON has no `<` here, and scripts put text into the page, never markup.
"""

import base64
import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"
UPLOT = "vendor/uplot/uPlot.iife.min.js"
PAGE = (
    *(
        "dom",
        "decode",
        "sampling",
        "state",
        "media",
        "overlay",
        "canvas",
        "lines",
        "marks",
        "events",
        "lanes",
    ),
    *("overview", "gestures", "people", "review", "table", "keys", "main"),
)
"""Modules of the review page in the order in which they are put together."""
INDEX = ("dom", "index")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
    " img-src data: blob:; media-src 'self' blob: file:"
)


def document(
    title: str,
    data: Mapping[str, Any],
    scripts: tuple[str, ...],
    blocks: Mapping[str, str] | None = None,
    clip: bytes = b"",
    body: str = "page.html",
) -> Iterator[bytes]:
    """Parts of the file, in order.

    Args:
        title: Of the page.
        data: What the scripts read.
        scripts: Names of modules among the assets.
        blocks: Packed numbers by name.
        clip: Bytes of the clip; empty: it is not in the page.
        body: Asset that is the page before scripts fill it.
    """
    styles = [asset(f"{name}.css") for name in ("vendor/uplot/uPlot.min", "page")]
    head = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n" + "\n".join(styles) + "\n</style>\n"
        f"</head>\n<body>\n{asset(body)}\n"
    )
    yield head.encode()
    yield f'<script type="application/json" id="data">{in_script(data)}</script>\n'.encode()
    for name, text in (blocks or {}).items():
        yield f'<script type="text/plain" id="{name}">{text}</script>\n'.encode()
    if scripts is PAGE:
        yield f"<script>{asset(UPLOT)}</script>\n".encode()
    code = "\n".join(f"// {name}.js\n{asset(f'{name}.js')}" for name in scripts)
    yield f'<script>\n(() => {{\n"use strict";\n{code}\n}})();\n</script>\n'.encode()
    if clip:  # last, so that curves are drawn while a browser still reads it
        yield b'<script type="text/plain" id="clip">'
        yield base64.b64encode(clip)
        yield b"</script>\n"
    yield b"</body>\n</html>\n"


def asset(name: str) -> str:
    """Text of a file among the assets."""
    return (ASSETS / name).read_text(encoding="utf-8")


def in_script(data: Mapping[str, Any]) -> str:
    """JSON that cannot end a script element, whatever its texts hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
