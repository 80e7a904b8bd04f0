"""Waiting in tests: for a condition, never for a time."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL = 0.02
"""Seconds between looks."""
LIMIT = 60.0
"""Seconds, on an idle machine, after which a condition will not come true any more."""


def limit(seconds: float = LIMIT) -> float:
    """A limit for this machine as busy as it is: longer by as much as more wants to run than can.

    Only a test that fails waits for so long.
    """
    return seconds * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def eventually(true: Callable[[], T], seconds: float = LIMIT) -> T:
    """Waits until something is true, and gives it; AssertionError if it does not come true."""
    began = time.monotonic()
    while not (found := true()):
        assert time.monotonic() - began < limit(seconds), "it has not come true"
        time.sleep(POLL)
    return found
