"""The process that worker processes are forked from: started, and ended with all that it leaves.

Data flow: caller > forkserver, which has loaded what workers need and holds no threads or locks >
workers.

Nobody outlives the caller, however it dies: on Linux the kernel tells the forkserver of its death
and kills the workers with the forkserver; elsewhere, and in the first instant, a pipe that closes
tells them (worker.py). The forkserver then removes the folder of the socket through which it was
spoken to; where it is killed itself, the next run does (temp_folders.py).

Workers see nothing of the caller's `__main__`.
"""

import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import util
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from features.errors import UserError
from features.store.leases import Lease
from features.store.temp_folders import mark_ours

PRELOADED = [
    "features.execution.forkserver",  # the first, since it has the forkserver end with its caller
    *("features.execution.job", "features.pipeline.extractor"),
    *("features.encoders.visual.expression_net", "features.encoders.audio.whole_sound_norm"),
    *("facenet_pytorch", "torchaudio", "transformers"),
]
"""Modules that workers find loaded: what they would load by themselves is in each one's memory."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Variables that libraries read when they are loaded."""
ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""glibc's malloc keeps what threads have freed, an arena a thread, unless it is told not to."""
CALLER = "AFFUSE_FORKSERVER_OF"
"""Variable that tells the forkserver, and nobody else, its caller's number and the folder of its
socket."""
END_WAIT = 2.0
"""Seconds in which a caller of whose death the kernel tells must be gone."""
LONGEST = (107 if sys.platform == "linux" else 103) - len("/listener-12345678")
"""Bytes in the path of the socket's folder: of the socket itself, systems take so many."""
_SET_PDEATHSIG = 1
"""Of prctl(2)."""

_mark: Lease | None = None
"""Of the folder of this process's forkserver's socket."""


def start_method() -> Any:
    """Starts processes that have loaded everything, where there is such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def warm_up() -> None:
    """Has the forkserver load what workers need while this process does something else."""
    start_method()
    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver  # not everywhere

        with as_caller():
            forkserver.ensure_running()


@contextmanager
def as_caller() -> Iterator[None]:
    """What is started within may be the forkserver: it is told who calls, and knows nothing else.

    It loads libraries for one thread, and does not run the caller's script once more.
    """
    global _mark
    folder = Path(util.get_temp_dir())
    if len(os.fsencode(folder)) > LONGEST:
        raise UserError(
            f"{folder.parent}: too long a path for the folder of temporary files, in which the"
            " workers' socket lies; set TMPDIR to a shorter one, e.g. /tmp"
        )
    if _mark is None or _mark.path.parent != folder:
        with suppress(OSError):  # a full disk: then the next run does not know that it is ours
            _mark = mark_ours(folder)
    told = dict.fromkeys(THREADS, "1") | ARENAS
    # The kernel takes the end of the thread that starts a process for its parent's death.
    if threading.current_thread() is threading.main_thread():
        told[CALLER] = f"{os.getpid()} {folder}"
    before = {name: os.environ.get(name) for name in told}
    main = sys.modules["__main__"]
    os.environ |= told
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def die_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this process a signal when its parent dies, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, int(number), 0, 0, 0)


def _end_with_caller(caller: int, folder: str) -> None:
    """Has this process, the forkserver, end when its caller does, and clean up."""
    own = os.getpid()

    def end(number: int = 0, frame: FrameType | None = None) -> None:
        if os.getpid() != own:  # a worker that was forked a moment ago
            os._exit(1)
        # The signal comes when the caller's first thread ends, a moment before the others do.
        until = time.monotonic() + END_WAIT
        while os.getppid() == caller and time.monotonic() < until:
            time.sleep(0.01)
        if os.getppid() != caller:  # else it lives, and removes the folder itself
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    die_with_parent(signal.SIGTERM)
    if os.getppid() != caller:
        end()


if CALLER in os.environ and any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    _caller, _folder = os.environ.pop(CALLER).split(" ", 1)
    _end_with_caller(int(_caller), _folder)
