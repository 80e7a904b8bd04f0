"""Progress of long work: a bar on a terminal, plain lines elsewhere; and signs of life.

Only a command shows it, and what the library logs. A script that calls the library sees nothing,
unless it listens (`heard_by`).
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from features.cli.wording import in_words

if TYPE_CHECKING:
    import rich.progress

LINE_EVERY = 10.0
"""Seconds between plain lines."""
OURS = ("features", "fusion", "experiments")
"""Loggers whose information a command shows."""
Hearer = Callable[[str, float], object]
"""Is told what is being done, and the share of it that is done, from 0 to 1."""

_hearer: ContextVar[Hearer | None] = ContextVar("hearer", default=None)
_on_screen: ContextVar[bool] = ContextVar("on_screen", default=False)
_listeners: list[Callable[[], None]] = []
_thread = threading.local()
"""What each thread works under: `unwanted`, see `unless`."""


class Unwanted(BaseException):
    """Ends work that nobody wants any more; no fault."""


def beat() -> None:
    """Gives a sign of life: a block of frames, or a piece of sound, is done.

    Raises:
        Unwanted: In a thread whose work is no longer wanted.
    """
    unwanted = getattr(_thread, "unwanted", None)
    if unwanted is not None and unwanted.is_set():
        raise Unwanted
    for listener in _listeners:
        listener()


def unless(unwanted: threading.Event, work: Callable[..., None], *arguments: object) -> None:
    """Does some work, which ends at its next sign of life once the event is set."""
    _thread.unwanted = unwanted
    try:
        work(*arguments)
    finally:
        _thread.unwanted = None


@contextmanager
def on_beat(listener: Callable[[], None]) -> Iterator[None]:
    """Has every sign of life of this process told to `listener` within."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class _Lines(logging.Handler):
    """Lines for the user of a command: what our library tells on stdout, warnings on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            print(self.format(record), file=sys.stderr, flush=True)
        elif record.name.split(".")[0] in OURS:
            print(self.format(record), flush=True)


@contextmanager
def shown_on_screen() -> Iterator[None]:
    """Has progress, and what the library logs, shown to the user of a command within."""
    if is_on_screen():
        yield
        return
    token, lines, root = _on_screen.set(True), _Lines(), logging.getLogger()
    levels = {logger: logger.level for logger in map(logging.getLogger, OURS)}
    root.addHandler(lines)
    for logger in levels:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        root.removeHandler(lines)
        _on_screen.reset(token)


@contextmanager
def heard_by(hearer: Hearer | None) -> Iterator[None]:
    """Has progress told to `hearer` within, and nothing shown; None: nobody is told."""
    tokens = _hearer.set(hearer), _on_screen.set(False)
    try:
        yield
    finally:
        _hearer.reset(tokens[0])
        _on_screen.reset(tokens[1])


def is_on_screen() -> bool:
    """Whether progress is shown."""
    return _on_screen.get()


def hearer() -> Hearer | None:
    """Who listens; for threads that the work starts, which would not find out."""
    return _hearer.get()


def tell(title: str, share: float) -> None:
    """Tells whoever listens that so much of some work is done."""
    if (hearer := _hearer.get()) is not None:
        hearer(title, share)


class ProgressReport:
    """Counts finished items; use as a context manager.

    Args:
        title: What is being done.
        total: Number of items.
        work: Work in all items together, where they differ; in any unit.
    """

    def __init__(self, title: str, total: int, work: float | None = None) -> None:
        self._title, self._total, self._done = title, total, 0
        self._work, self._work_done = float(work or total), 0.0
        self._weighed = bool(work)
        self._began = self._last_line = time.monotonic()
        self._bar: rich.progress.Progress | None = None
        if is_on_screen() and sys.stderr.isatty() and total:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self._line(""), total=self._work)

    def __enter__(self) -> "ProgressReport":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, name: str, work: float = 1.0) -> None:
        """One item, called `name`, is finished, in which there was so much of the work."""
        self._done += 1
        self._work_done += work if self._weighed else 1.0
        tell(self._title, self._work_done / self._work)
        if self._bar:
            self._bar.update(self._task, completed=self._work_done, description=self._line(name))
        if self._bar or not is_on_screen():
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY or self._done == self._total:
            self._last_line = now
            print(self._line(name) + self._left(), file=sys.stderr, flush=True)

    def _line(self, name: str) -> str:
        return f"{self._title} {self._done}/{self._total} {name}".rstrip()

    def _left(self) -> str:
        """The time that is left if the rest goes on like this, in words; empty at the end."""
        if self._done == self._total or not self._work_done:
            return ""
        spent = time.monotonic() - self._began
        return f" ({in_words(spent * (self._work / self._work_done - 1))} left)"
