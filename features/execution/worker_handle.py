"""A worker process as its parent sees it: how it is started, heard and ended.

Data flow: start method (forkserver.py) > process (worker.py) > what it says, when it last made
progress, where it is in the code, how it died.
"""

import os
import re
import signal
import time
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from features.execution.forkserver import as_caller
from features.execution.worker import READY, Builder, serve

if TYPE_CHECKING:
    from features.pipeline.discovery import Source

WORDS_WAIT = 2.0
"""Seconds that a worker without progress gets to say where it is."""
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')
"""A line of faulthandler's."""
_OURS = re.compile(r"features[/\\][^/\\]+.*")
"""Path of a module of ours, from the package on."""
_WAITING = ("prefetch.py", "worker.py", "extractor.py")
"""Files in which threads wait for others."""
END_WAIT = 5.0
"""Seconds that a killed process gets to be gone."""


class WorkerHandle:
    """A worker process as its parent sees it."""

    def __init__(self, context: Any, build: Builder, device: str, threads: int) -> None:
        self.pipe, its_pipe = context.Pipe()
        self._last_words, its_words = context.Pipe(duplex=False)
        self._beat = context.RawValue("d", time.monotonic())
        arguments = its_pipe, its_words, self._beat, build, device, threads
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        with as_caller():
            self.process.start()
        its_pipe.close()
        its_words.close()
        self.source: Source | None = None
        self.ready = False

    def give(self, source: "Source") -> None:
        """Gives it an item; that it is dead will be seen later."""
        self.source, self._beat.value = source, time.monotonic()
        with suppress(BrokenPipeError):
            self.pipe.send(source)

    def said(self) -> object:
        """What it has said last, or None."""
        try:
            message = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, ConnectionResetError):
            self.process.join()  # its end of the pipe closes with it
            return None
        if message == READY:
            self.ready, self._beat.value = True, time.monotonic()
        return message

    @property
    def silence(self) -> float:
        """Seconds since it told of progress."""
        return time.monotonic() - float(self._beat.value)

    def place_now(self) -> str:
        """Where in the code it is, in words."""
        if hasattr(signal, "SIGUSR1"):
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGUSR1)
        return _place(_all_of(self._last_words, WORDS_WAIT))

    def cause_of_death(self) -> str:
        """How it died and where, in words."""
        self.process.join()
        code = self.process.exitcode or 0
        where = _place(_all_of(self._last_words, 0))
        if code >= 0:
            return f"ended with status {code}{where}"
        name = signal.Signals(-code).name
        short = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        return f"was ended by {name}{where}{short}"

    def kill(self) -> None:
        """Ends it at once; one that hangs in the kernel, on a dead disk, is left behind."""
        self.process.kill()
        self.process.join(END_WAIT)
        if not self.process.is_alive():
            self.process.close()
        self.pipe.close()
        self._last_words.close()


def _all_of(pipe: Connection, seconds: float) -> str:
    """What comes through a pipe in that time, till it pauses."""
    text = b""
    while pipe.poll(0.1 if text else seconds):
        part = os.read(pipe.fileno(), 1 << 16)
        if not part:
            break
        text += part
    return text.decode(errors="replace")


def _place(trace: str) -> str:
    """The innermost function of ours in a trace of faulthandler's, in words; empty without one.

    Threads that only wait for another one are passed over.
    """
    threads = [_FRAME.findall(part) for part in re.split(r"(?m)^(?=Thread|Current)", trace)]
    ours = [[(m[0], *where) for path, *where in thread if (m := _OURS.search(path))]
            for thread in threads]  # fmt: skip
    busy = [frames for frames in ours if frames and not frames[0][0].endswith(_WAITING)]
    for file, line, function in chain(*busy, *ours, *threads):
        return f" in {function} ({file} line {line})"
    return ""
