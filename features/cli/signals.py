"""SIGTERM, which SLURM and `docker stop` send, acts like Ctrl-C.

Data flow: SIGTERM > KeyboardInterrupt in the main thread > claims given back, one line, status 143.
A second one ends the process at once. Forked children, such as workers that load data, die of it as
they would without this module.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 143
"""Exit status of a command that SIGTERM stopped (128 + SIGTERM)."""


class Termination:
    """Handler of SIGTERM.

    Attributes:
        received: Whether SIGTERM has come.
        handling: Whether there is such a handler in this process.
    """

    handling = False

    def __init__(self) -> None:
        self.received = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt, the first time."""
        if self.received:
            os._exit(TERMINATED)
        self.received = True
        raise KeyboardInterrupt


@contextmanager
def terminable() -> Iterator[Termination]:
    """Handles SIGTERM within; the former handler is back afterwards.

    Nothing is handled outside of the main thread, where Python cannot, nor where SIGTERM is ignored
    or handled by other than Python.
    """
    termination = Termination()
    former = signal.getsignal(signal.SIGTERM)
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or former in (None, signal.SIG_IGN):
        yield termination
        return
    outer, Termination.handling = Termination.handling, True
    signal.signal(signal.SIGTERM, termination)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, former)
        Termination.handling = outer


# While a process forks, SIGTERM waits: Python forgets those that come to a child before it runs.

_before = threading.local()
"""Signals that the forking thread blocked before, as `mask`."""


def _block() -> None:
    _before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _before.mask)


def _unblock_child() -> None:
    if Termination.handling:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        Termination.handling = False
    _unblock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_unblock_child)
