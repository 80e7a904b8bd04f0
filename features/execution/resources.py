"""How many worker processes this machine carries, and what each of them gets.

Data flow: cores and memory that this process may use, GPUs, number of items > Share.

What a machine has is not what a process may use: CPU sets (SLURM, taskset) and the quotas of
control groups (containers, systemd) are less.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.encoders.device import may_have_gpu
from features.errors import UserError

WORKER_BYTES = 1.2e9
"""Main memory of a worker on the CPU. On clips of 1920x1080 with the default encoders one held
1.0 GB of its own and a share of the 0.4 GB that all have in common (2 cores, one thread each)."""
THREADS = 1
"""CPU threads of torch, OpenCV and BLAS in a worker, and where there are no workers. Sums over
more threads end in other last bits: with two, faces and features of the same video differ from
those with one. Tracks must not depend on how many workers there happened to be."""
GPU_BYTES = 4e9
"""GPU memory set aside for a worker: a cautious guess, not measured."""
GPU_WORKERS = 4
"""Workers on one GPU at most, whatever its memory, since they share its time: a guess too."""
GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux shows control groups, and which of them this process belongs to."""
UNLIMITED = 1 << 60
"""Bytes beyond which a limit of version 1 of control groups means that there is none."""


@contextmanager
def threads_of_a_worker() -> Iterator[None]:
    """Has torch use as many threads within as in a worker."""
    import torch  # takes seconds, and a process that watches workers can do without

    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Share:
    """How a machine is divided among workers.

    Attributes:
        workers: Worker processes; 0 works in the process that asks.
        devices: Torch devices, dealt out to the workers in turn.
        threads: CPU threads of each.
    """

    workers: int
    devices: tuple[str, ...]
    threads: int = THREADS

    def device(self, worker: int) -> str:
        """Device of a worker, counted from 0."""
        return self.devices[worker % len(self.devices)]


def share(workers: str, items: int, device: str) -> Share:
    """Divides this machine.

    Args:
        workers: `auto`, or a number.
        items: Items to do; more workers are useless.
        device: Device in the settings; `auto` spreads the workers over all GPUs.

    Raises:
        UserError: If `workers` is neither `auto` nor a number.
    """
    devices, places = _devices(device)
    wanted = parse_workers(workers)
    if wanted is None:
        cores = usable_cores()
        wanted = max(1, min(cores, int(free_memory() / WORKER_BYTES), places or cores))
    number = min(wanted, max(items, 1))
    return Share(number, devices)


def parse_workers(text: str) -> int | None:
    """Number of workers in the settings; None for `auto`.

    Raises:
        UserError: If it is neither.
    """
    if text == "auto":
        return None
    if text.isdecimal():
        return int(text)
    raise UserError(f"--workers {text}: give auto or a number, e.g. 4; 0 works without processes")


def usable_cores() -> int:
    """Cores that this process may use: its CPU set, or its control group's quota if that is less.

    A quota of 2.5 cores counts as 2.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quotas = [*_quotas("cpu.max"), *_old_quotas()]
    return max(1, int(min([cores, *quotas])))


def free_memory() -> float:
    """Bytes of main memory that this process may still take."""
    free = [float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))]
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free.append(float(lines["MemAvailable"].split()[0]) * 1024)
    for folder in _groups("memory"):
        for most, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(folder / most)
            if limit is not None and limit < UNLIMITED:
                held = (_number(folder / used) or 0.0) - _field(folder / "memory.stat", cache)
                free.append(max(0.0, limit - held))
    return min(free)


def _devices(device: str) -> tuple[tuple[str, ...], int | None]:
    """Devices of the workers, and how many workers their memory holds; None if that is not told."""
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return (device,), None
    import torch  # takes seconds, and not everybody who divides a machine has it

    gpus = torch.cuda.device_count() if device.startswith(("auto", "cuda")) else 0
    if not gpus:
        return (device,), None
    names = tuple(f"cuda:{i}" for i in range(gpus)) if device == "auto" else (device,)
    sizes = [torch.cuda.get_device_properties(torch.device(name)).total_memory for name in names]
    return names, sum(min(GPU_WORKERS, max(1, int(size / GPU_BYTES))) for size in sizes)


def _quotas(name: str) -> Iterator[float]:
    """Quotas in cores, by version 2 of control groups: `QUOTA PERIOD` or `max PERIOD`."""
    for folder in _groups("cpu"):
        words = _text(folder / name).split()
        if len(words) == 2 and words[0] != "max":
            yield float(words[0]) / float(words[1])


def _old_quotas() -> Iterator[float]:
    """Quotas in cores, by version 1 of control groups; -1 is none."""
    for folder in _groups("cpu"):
        quota = _number(folder / "cpu.cfs_quota_us")
        period = _number(folder / "cpu.cfs_period_us")
        if quota and period and quota > 0:
            yield quota / period


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's control groups and those above them, of either version."""
    for line in _text(OWN_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = GROUPS / controller if controllers else GROUPS
        own = top / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _text(path: Path) -> str:
    """Content of a small file; empty if it is not there or not for us."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    """The number in a file; None if there is none, as in `max`."""
    text = _text(path).strip().lstrip("-")
    return float(_text(path)) if text.isdecimal() else None


def _field(path: Path, name: str) -> float:
    """A number from lines `NAME NUMBER`; 0 if it is not there."""
    fields = dict(line.split(maxsplit=1) for line in _text(path).splitlines() if " " in line)
    return float(fields.get(name, 0))
