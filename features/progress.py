"""Progress of long work: a bar on a terminal, plain lines elsewhere; and signs of life."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 10.0
"""Seconds between plain lines."""


_listener: Callable[[], None] = lambda: None


def beat() -> None:
    """Gives a sign of life: a block of frames, or a piece of sound, is done."""
    _listener()


def on_beat(listener: Callable[[], None]) -> None:
    """Has every sign of life of this process told to `listener`."""
    global _listener
    _listener = listener


class ProgressReport:
    """Counts finished items; use as a context manager.

    Args:
        title: What is being done.
        total: Number of items.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty() and total:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
            self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> "ProgressReport":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, name: str) -> None:
        """One item, called `name`, is finished."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, advance=1, description=f"{self._title} {name}")
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY or self._done == self._total:
            self._last_line = now
            print(f"{self._title} {self._done}/{self._total} {name}", file=sys.stderr, flush=True)
