"""A process that works on one job after the other, and the handle by which it is held.

Data flow: folder of a job > pipe > process > pipe > progress, then how it ended.

The process is spawned, has a session of its own (so that all of it is killed at once, and Ctrl-C
does not reach it), and ends itself when the service is gone.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from features.errors import UserError
from fusion.serving.settings import Work


@dataclass(frozen=True)
class Progress:
    """How far a work is."""

    stage: str
    share: float


@dataclass(frozen=True)
class Outcome:
    """How a work ended.

    Attributes:
        how: Whether it is done, the upload is at fault, or the program.
        said: What a fault says.
    """

    how: Literal["done", "refused", "fault"]
    said: str = ""


class WorkerDied(Exception):
    """The process ended in the midst of a job."""


class Worker:
    """Handle of a process.

    Args:
        work: What it does with a folder.
        cores: Cores that it may use; empty: all.
    """

    def __init__(self, work: Work, cores: Sequence[int] = ()) -> None:
        context = multiprocessing.get_context("spawn")
        self._channel, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, tuple(cores), theirs))
        self._process.start()
        theirs.close()
        self.done = 0

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid or 0

    def begin(self, folder: Path) -> None:
        """Has it work on a folder; WorkerDied if it is not there any more."""
        self.done += 1
        try:
            self._channel.send(folder)
        except OSError as error:
            raise WorkerDied from error

    def hear(self, seconds: float) -> Progress | Outcome | None:
        """The next thing that it says; None if it says nothing for some time.

        Raises:
            WorkerDied: If it is not there any more.
        """
        try:
            if self._channel.poll(seconds):
                said: Progress | Outcome = self._channel.recv()
                return said
        except (EOFError, OSError) as error:
            raise WorkerDied from error
        return None

    def kill(self) -> None:
        """Ends it and all that it started, now."""
        with suppress(ProcessLookupError):  # it may be gone, or not yet have a session
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._channel.close()


def _serve(work: Work, cores: Sequence[int], channel: Connection) -> None:
    """What the process does."""
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if cores:
        os.sched_setaffinity(0, cores)  # before torch is imported and counts them
    while True:
        try:
            folder = channel.recv()
        except EOFError:
            return
        channel.send(_outcome(work, folder, channel))


def _outcome(work: Work, folder: Path, channel: Connection) -> Outcome:
    lock = threading.Lock()

    def tell(stage: str, share: float) -> None:
        with lock:  # threads of the work tell too
            channel.send(Progress(stage, share))

    try:
        work(folder, tell)
    except UserError as error:
        # A client is not told where files lie.
        return Outcome("refused", str(error).replace(f"{folder}{os.sep}", ""))
    except Exception:  # a fault of ours: goes to the service's log whole, and fails the job
        return Outcome("fault", traceback.format_exc())
    return Outcome("done")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.killpg(0, signal.SIGKILL)
