"""What readers say of a file beside what they give: a loss that was bridged, a choice made.

Data flow: `logger.warning("%s: ...", path)` anywhere in the package > the lines of one item >
JobResult > the closing summary.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = logging.getLogger("features")
"""The logger above those of all modules."""


class _Gatherer(logging.Handler):
    """Keeps each line once, in the order in which it was said first."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if line not in self.lines:
            self.lines.append(line)


@contextmanager
def gathered_notices() -> Iterator[list[str]]:
    """A list of what is said within, by any thread; nothing of it goes to stderr meanwhile."""
    gatherer, propagate = _Gatherer(), PACKAGE.propagate
    PACKAGE.addHandler(gatherer)
    PACKAGE.propagate = False
    try:
        yield gatherer.lines
    finally:
        PACKAGE.removeHandler(gatherer)
        PACKAGE.propagate = propagate
