"""The page to upload with: one file, which may run its own script and nothing else.

Data flow: page.html > hashes of its script and style > Content-Security-Policy.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi.responses import HTMLResponse

_FILE = Path(__file__).with_name("page.html")


def answer() -> HTMLResponse:
    """The page with the policy that lets it work."""
    text, policy = _page()
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


@cache
def _page() -> tuple[str, str]:
    text = _FILE.read_text()
    allowed = [
        f"{tag}-src '{_hash(content)}'"
        for tag, content in re.findall(r"<(script|style)>(.*?)</\1>", text, re.DOTALL)
    ]
    rest = ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    return text, "; ".join([*rest, *allowed])


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
