"""What a worker process does; executors.py tells how it is started and watched.

Data flow: builder > Extractor; then again and again: pipe > source > run_job > JobResult > pipe.
"""

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from features.cli.progress import on_beat
from features.errors import UserError
from features.execution.forkserver import THREADS, die_with_parent

if TYPE_CHECKING:  # the parent may do without torch
    from features.pipeline.extractor import Extractor

READY = "ready"
"""What a worker says once it can work."""
TRIM_EVERY = 2.0
"""Seconds between the times at which it is made to give back what it keeps nevertheless. Without,
that is a third of a worker's memory after some minutes of video; the price is some per cent of
speed, for what is needed again at once."""


class Builder(Protocol):
    """Builds an Extractor; can be pickled, and is not defined in `__main__`."""

    def __call__(self, device: str) -> "Extractor":
        """Builds one that computes on a device."""
        ...


def serve(
    pipe: Connection, last_words: Connection, beat: Any, build: Builder, device: str, threads: int
) -> None:
    """Works until the parent closes the pipe, or is dead.

    Args:
        pipe: Gives sources; takes `READY` (or the UserError that prevents it), then JobResults.
        last_words: Takes the place in the code where a crash happened, or SIGUSR1 came.
        beat: Shared double: when (`time.monotonic`) there was progress last.
        build: Builds the Extractor.
        device: Where encoders compute.
        threads: CPU threads to use.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)  # the forkserver, which dies with the caller
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everybody; the parent decides
    threading.Thread(target=_trim_and_end_with_parent, daemon=True).start()
    faulthandler.enable(last_words, all_threads=False)
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, last_words, all_threads=True)
    _limit_threads(threads)
    from features.execution.job import (
        run_job,  # the forkserver has loaded it; the parent need not
    )

    def note() -> None:
        beat.value = time.monotonic()

    with on_beat(note):
        try:
            extractor = build(device)
        except UserError as error:
            pipe.send(error)
            return
        pipe.send(READY)
        while True:
            try:
                source = pipe.recv()
            except EOFError:
                return
            note()
            pipe.send(run_job(extractor, source))


def _trim_and_end_with_parent() -> None:
    """Gives back free memory; ends this process as soon as the parent is dead, however it died."""
    parent = parent_process()
    assert parent is not None
    while not wait([parent.sentinel], TRIM_EVERY):
        _trim()
    os._exit(1)


def _trim() -> None:
    """Has glibc, where malloc is its, give free memory back to the system."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _limit_threads(threads: int) -> None:
    """Threads of torch and OpenCV, and of what will be loaded yet."""
    os.environ |= dict.fromkeys(THREADS, str(threads))
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
