"""A real browser for tests of pages: the Chromium of the system, driven by playwright.

Nothing is downloaded: where there is no Chromium or no playwright, the tests skip and say so.
`$AFFUSE_CHROMIUM` names another one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from experiments.benchmarks.page_browser import NAMES, SIZE, chromium, find_chromium

READY = "document.documentElement.dataset.fine === 'yes'"
"""What a review page says when all its numbers are decoded."""


@contextmanager
def browsing() -> Iterator[Any]:
    """The browser, with a profile of its own; one at a time. Skips without one."""
    pytest.importorskip("playwright.sync_api", reason="no playwright (extra experiments)")
    if find_chromium() is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with chromium() as browser:
        yield browser


@contextmanager
def opened(
    browser: Any, path: Path, ready: str = READY, allowed: str = "\0", **options: Any
) -> Iterator[Any]:
    """A page from disk, once it is ready; fails afterwards if its console has errors.

    So it does if the page has asked for anything but files and what it holds itself. Errors that
    hold `allowed` may be there.
    """
    options = {"viewport": SIZE} | options
    context, said, asked = browser.new_context(**options), list[str](), list[str]()
    page = context.new_page()
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(path.resolve().as_uri())
        until(page, ready)
        yield page
        outside = [url for url in asked if not url.startswith(("file:", "blob:", "data:"))]
        assert outside == [], outside
        wrong = [text for text in said if allowed not in text]
        assert wrong == [], wrong
    finally:
        context.close()


def until(page: Any, expression: str, arg: object = None, seconds: float = 30.0) -> None:
    """Waits for an expression of JavaScript to be true; playwright's own way needs `eval`."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {expression}")
        page.wait_for_timeout(20)
