"""How long something takes, and what a command and all processes that it starts take.

Data flow: words of a command > a session of processes of its own > psutil, every .2 s > `Usage`.

Whoever the command starts belongs to its session, also when its parent is dead. Memory of all is
the sum of proportional shares (PSS: what n processes share counts as 1/n for each; Linux knows it);
processor time is what each had used when it was last seen, so up to .2 s of each are not counted.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from features.errors import UserError

EVERY = 0.2
"""Seconds between samples."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What limits threads from outside; removed, so that a command runs as for a user who set none."""


@dataclass
class Timing:
    """What was done and how long it took.

    Attributes:
        amount: Frames, seconds of sound, pictures: whatever a rate counts.
        seconds: By the clock on the wall.
        processor: Seconds of the processor, of all threads of this process.
    """

    amount: float = 0.0
    seconds: float = 0.0
    processor: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Adds the time inside the context."""
        seconds, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - seconds
        self.processor += time.process_time() - processor


@dataclass
class Usage:
    """What a command took.

    Attributes:
        seconds: From start to exit.
        processor: Seconds of the processor, of all processes.
        together: Most memory (PSS) of all processes at one instant, MiB.
        largest: Most memory (RSS) of one process, MiB.
        processes: How many there were.
        curve: Seconds and MiB of all processes, in the order of time.
    """

    seconds: float = 0.0
    processor: float = 0.0
    together: float = 0.0
    largest: float = 0.0
    processes: int = 0
    curve: list[tuple[float, float]] = field(default_factory=list)


def watch(words: Sequence[str], log: Path) -> Usage:
    """Runs a command to its end.

    Args:
        words: The command.
        log: File for what it writes; its folder is made.

    Raises:
        UserError: If it does not end with 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    usage, spent, began = Usage(), dict[int, float](), time.perf_counter()
    with log.open("wb") as file, started(words, file.fileno()) as process:
        while process.poll() is None:
            _sample(process.pid, usage, spent, time.perf_counter() - began)
            with suppress(subprocess.TimeoutExpired):
                process.wait(EVERY)
    usage.seconds, usage.processor = time.perf_counter() - began, sum(spent.values())
    usage.processes = len(spent)
    if process.returncode:
        raise UserError(f"{words[:3]} ended with {process.returncode}; see {log}")
    return usage


def _sample(session: int, usage: Usage, spent: dict[int, float], now: float) -> None:
    """Adds what the processes of a session have at one instant."""
    own = 0.0
    for each in members(session):
        with suppress(psutil.Error):
            memory, times = each.memory_full_info(), each.cpu_times()
            own += getattr(memory, "pss", memory.uss) / 2**20
            usage.largest = max(usage.largest, memory.rss / 2**20)
            spent[each.pid] = times.user + times.system
    usage.together = max(usage.together, own)
    usage.curve.append((now, own))


@contextmanager
def started(words: Sequence[str], output: int) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a command as the first process of a session; at the end none of them is left."""
    free = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    process = subprocess.Popen(
        words, stdout=output, stderr=output, env=free, start_new_session=True
    )
    try:
        yield process
    finally:
        kill(members(process.pid))
        process.wait()


def members(session: int) -> list[psutil.Process]:
    """The living processes of a session."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(each.pid) == session and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def kill(processes: Sequence[psutil.Process]) -> None:
    """`kill -9`, whoever of them is still there."""
    for each in processes:
        with suppress(psutil.Error):
            each.send_signal(signal.SIGKILL)


def last_json(log: Path) -> Any:
    """What the last line of an output says that is JSON.

    Raises:
        UserError: If there is none.
    """
    lines = [line for line in log.read_text(errors="replace").splitlines() if line[:1] == "{"]
    if not lines:
        raise UserError(f"{log}: no result in it; see what went wrong there")
    return json.loads(lines[-1])
