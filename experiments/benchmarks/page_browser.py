"""The browser in which pages are measured and tested: the Chromium of the system, without a GPU."""

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from features.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",  # painting by a GPU that is simulated takes a hundred times as long
    "--disable-background-networking",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
SIZE = {"width": 1280, "height": 900}
ZOOM = "i => affuse.zoom(i % 2 ? .5 : 4, middle)"
SEEK = "i => affuse.seek(affuse.state.end * ((i * .37) % 1))"
TIMED = """async () => {{
  const does = {does}, middle = affuse.state.end / 2, taken = [];
  for (let i = 0; i < {times}; i++) {{
    const start = performance.now();
    does(i);
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
    taken.push((performance.now() - start) / 1000);
  }}
  return taken;
}}"""
"""From a call until the picture of the screen that follows it is drawn."""


def find_chromium() -> str | None:
    """Path of the browser that `$AFFUSE_CHROMIUM` names, or that is installed; None without one."""
    named = os.environ.get("AFFUSE_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, with a profile of its own.

    Raises:
        UserError: If there is none.
    """
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        raise UserError(f"no browser: none of {', '.join(NAMES)} is installed; install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def measured(browser: Any, page: Path, times: int = 12) -> dict[str, float]:
    """What a review page takes: seconds until it is open, of zooms and seeks, and memory in MB."""
    with opened(browser, page) as tab:
        wait(tab, "document.documentElement.dataset.opened === 'yes'")
        found = {"open": tab.evaluate("affuse.state.opened") / 1000}
        wait(tab, "document.documentElement.dataset.fine === 'yes'")
        for name, does in (("zoom", ZOOM), ("seek", SEEK)):
            taken = tab.evaluate(TIMED.format(does=does, times=times))
            found |= {name: statistics.median(taken), f"{name} at most": max(taken)}
        found["memory"] = _memory()
    return found


@contextmanager
def opened(browser: Any, page: Path) -> Iterator[Any]:
    """A page in a fresh context."""
    context = browser.new_context(viewport=SIZE)
    try:
        tab = context.new_page()
        tab.goto(page.resolve().as_uri())
        yield tab
    finally:
        context.close()


def wait(tab: Any, expression: str, seconds: float = 60.0) -> None:
    """Waits until an expression of JavaScript is true; playwright's own way needs `eval`."""
    for _ in range(int(seconds / 0.02)):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(20)
    raise UserError(f"not within {seconds:g} s: {expression}")


def _memory() -> float:
    """MB that the largest renderer has for itself (USS)."""
    most = 0.0
    for process in psutil.Process().children(recursive=True):
        if "--type=renderer" in " ".join(process.cmdline()):
            most = max(most, process.memory_full_info().uss / 1e6)
    return most
