"""What a command and all processes that it starts take: seconds, processor, memory.

Data flow: words of a command > a session of processes of its own > /proc, every .2 s > `Usage`.

Linux only. Whoever the command starts belongs to its session, also when its parent is dead. Memory
of all is the sum of what each has in memory (RSS: pages that they share count for each) or, dearer
to sample, of their proportional shares of what does not come from files (PSS: a page that n share
counts as 1/n for each; mapped files, such as libraries, are shared with whatever else runs on the
machine, so they would make the sum depend on that). The peak of each process is the kernel's own
(`VmHWM`), which no sampling can miss; processor time is what each had used when it was last seen,
so up to .2 s for each process are not counted.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import UserError

EVERY = 0.2
"""Seconds between samples."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What limits threads from outside; removed, so that a command runs as for a user who set none."""
PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: From start to exit.
        processor: Seconds of the processor, of all processes.
        together: Most memory of all processes at one instant, MiB.
        largest: Most memory that one process ever had (RSS), MiB.
        processes: How many there were.
        curve: Seconds and MiB of all processes, in the order of time.
    """

    seconds: float
    processor: float
    together: float
    largest: float
    processes: int
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def cores(self) -> float:
        """Processor seconds a second: how many cores it kept busy on average."""
        return self.processor / self.seconds


def watch(words: Sequence[str], log: Path, *, shared: bool = False, ok: int = 0) -> Usage:
    """Runs a command to its end and samples what its processes take.

    Args:
        words: Program and arguments.
        log: Gets its output and complaints.
        shared: Whether memory is PSS without files; else RSS, which costs less to sample.
        ok: Exit status that it must have.

    Raises:
        UserError: If its exit status is another; names the log.
    """
    sampler, began = _Sampler(shared), time.perf_counter()
    with log.open("wb") as file, started(words, file.fileno()) as process:
        while process.poll() is None:
            sampler.sample(process.pid, time.perf_counter() - began)
            with suppress(subprocess.TimeoutExpired):
                process.wait(EVERY)
        seconds = time.perf_counter() - began
    if process.returncode != ok:
        raise UserError(f"'{' '.join(words[:6])} ...' ended with {process.returncode}; see {log}")
    return sampler.usage(seconds)


@contextmanager
def started(
    words: Sequence[str], output: int, extra: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a command in a session of its own; at the end nobody of the session is left.

    Args:
        words: Program and arguments.
        output: Descriptor that gets its output and complaints.
        extra: Environment beside ours, from which limits of threads are removed.
    """
    kept = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    process = subprocess.Popen(
        words, stdout=output, stderr=output, env=kept | dict(extra or {}), start_new_session=True
    )
    try:
        yield process
    finally:
        kill(*members(process.pid))
        process.wait()


def members(session: int) -> list[int]:
    """Living processes of a session, in the order of their numbers; zombies do not count."""
    found = []
    for entry in PROC.iterdir():
        fields = stat_fields(int(entry.name)) if entry.name.isdigit() else None
        if fields and int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return sorted(found)


def kill(*pids: int) -> None:
    """`kill -9` of some processes, as far as they still live."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def stat_fields(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on, see proc(5); None if it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class _Sampler:
    """Adds up what the processes of a session take."""

    def __init__(self, shared: bool) -> None:
        self._shared = shared
        self._processor: dict[tuple[int, str], float] = {}
        self._curve: list[tuple[float, float]] = []
        self._largest = 0.0

    def sample(self, session: int, at: float) -> None:
        """Looks at all processes once."""
        together = 0.0
        for pid in members(session):
            fields = stat_fields(pid)
            if fields is None:
                continue
            ticks = int(fields[11]) + int(fields[12])  # utime and stime
            self._processor[pid, fields[19]] = ticks / os.sysconf("SC_CLK_TCK")
            status = _mebibytes(PROC / str(pid) / "status")
            self._largest = max(self._largest, status.get("VmHWM", 0.0))
            if self._shared:
                rollup = _mebibytes(PROC / str(pid) / "smaps_rollup")
                together += rollup.get("Pss_Anon", 0.0) + rollup.get("Pss_Shmem", 0.0)
            else:
                together += status.get("VmRSS", 0.0)
        self._curve.append((at, together))

    def usage(self, seconds: float) -> Usage:
        """What was seen."""
        together = max((mib for _, mib in self._curve), default=0.0)
        processor, count = sum(self._processor.values()), len(self._processor)
        return Usage(seconds, processor, together, self._largest, count, self._curve)


def _mebibytes(path: Path) -> dict[str, float]:
    """Lines `Name: N kB` of a file of /proc as MiB by name; empty if the process is gone."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    rows = (line.split() for line in lines if line.endswith(" kB"))
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows if len(row) == 3}
