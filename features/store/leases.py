"""Leases: one process at a time has a file's name, on all machines that share its folder.

Data flow: path > file made by whoever comes first > renewed while that one lives > removed, or
taken over once it is dead.

filelock's SoftFileLease does this: a dead process of this machine is known by number, start and
boot, one of another machine by a file that is not renewed, by the clock of whoever watches it. What
it leaves open is closed here: machines that share a name (`localhost`), where it takes another boot
for a dead one; processes of this machine that are halted and so cannot renew their files; dead ones
that nobody has waited for (zombies); files that a killed process left empty, which it never takes.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import SoftFileLease, Timeout

from features.errors import UserError

BEAT = 20.0
"""Seconds after which the file of a lease is renewed."""
STALE = 300.0
"""Seconds for which this process must see a file unchanged to take its holder for dead, if it does
not see the holder itself. All processes must agree on it."""
POLL = 1.0
"""Seconds between looks at a holder that may be dead."""
ASIDE = ".dead."
"""In names of files that are moved out of the way."""

log = logging.getLogger(__name__)


class Lease:
    """The right to a name; may be taken again after it was given back.

    Args:
        path: File that tells of the holder; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = SoftFileLease(
            path, lease_duration=STALE, heartbeat_interval=BEAT, thread_local=False
        )
        self._seen: tuple[tuple[int, ...], float] | None = None
        self._renewed = False

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._lock.is_locked

    @property
    def lost(self) -> bool:
        """Whether others took it from this object, which held it but could not renew it."""
        return self._lock.compromise is not None

    @property
    def holder(self) -> str:
        """Who holds it, in words."""
        owner = self._lock.owner
        if owner is None:
            return "an unknown process"
        return (
            f"process {owner.pid} on {owner.hostname.split('?')[0]}"  # `?` and a container's number
        )

    @property
    def in_doubt(self) -> bool:
        """Whether its holder may be dead, which only time can tell.

        Not so if it is seen among the processes of this machine, or was seen to renew the file.
        """
        waited = self._unrenewed()
        return not (waited is None or self.held or self._renewed or self._lives() is not None)

    def take(self) -> bool:
        """Takes it; False if somebody, perhaps this object, holds it or may do so.

        Raises:
            OSError: If the folder cannot be written to.
        """
        if self.held:
            return False
        waited = self._unrenewed()
        if waited is not None:
            lives = self._lives()
            if lives or (lives is None and waited < STALE and self._booted_elsewhere()):
                return False
            if lives is False or waited >= STALE:
                self._move_aside()
        while True:
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                return False
            except FileNotFoundError:  # somebody has just removed the empty folder
                continue
            self._seen, self._renewed = None, False
            return True

    def release(self) -> None:
        """Gives it back; one that others took over meanwhile stays theirs."""
        self._lock.release(force=True)

    def _unrenewed(self) -> float | None:
        """Seconds for which this object has seen the file unchanged; None if there is none."""
        state = _state(self.path)
        if state is None:
            self._seen = None
            return None
        if self._seen is None or self._seen[0] != state:
            self._renewed = self._seen is not None
            self._seen = state, time.monotonic()
        return time.monotonic() - self._seen[1]

    def _lives(self) -> bool | None:
        """Whether the very process lives, or is a zombie; None if this machine does not show it."""
        owner = self._lock.owner
        if owner is None or owner.start is None:
            return None
        boot, started = divmod(owner.start, 1 << 64)
        process = _process(owner.pid)
        if boot not in (0, _boot()) or process is None or process[0] != started:
            return None
        return process[1]

    def _booted_elsewhere(self) -> bool:
        """Whether the holder runs on another machine, or ran here before the last boot."""
        owner = self._lock.owner
        boot = owner.start >> 64 if owner and owner.start else 0
        return bool(boot and _boot()) and boot != _boot()

    def _move_aside(self) -> None:
        """Removes the file of a dead holder, unless somebody was faster; theirs is put back."""
        aside = self.path.with_name(f"{self.path.name}{ASIDE}{uuid4().hex}")
        with suppress(FileNotFoundError):
            self.path.rename(aside)
            # The time of the change of the inode, the last part, is that of the renaming now.
            if self._seen is None or (_state(aside) or ())[:-1] != self._seen[0][:-1]:
                with suppress(FileExistsError):
                    self.path.hardlink_to(aside)
            aside.unlink()


@contextmanager
def hold(path: Path, busy: Callable[[str], str]) -> Iterator[Lease]:
    """Holds a lease within; waits for a holder of which it is not known whether it lives.

    Args:
        path: File of the lease.
        busy: What to tell the user if somebody who lives (given in words) holds it.

    Raises:
        UserError: If somebody who lives holds it, or has taken it over meanwhile.
    """
    lease, told = Lease(path), False
    while not lease.take():
        if not lease.in_doubt:
            raise UserError(busy(lease.holder))
        if not told:
            log.warning("%s: %s may be dead; watching it, %g s at most", path, lease.holder, STALE)
            told = True
        time.sleep(POLL)
    try:
        yield lease
    finally:
        lease.release()
    if lease.lost:
        raise UserError(busy(lease.holder))


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes whenever a file is renewed or another takes its place; None without a file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size, stat.st_ctime_ns


def _boot() -> int:
    """Number of this boot of this machine; 0 where the system does not tell."""
    try:
        return int(Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", ""), 16)
    except (OSError, ValueError):
        return 0


def _process(pid: int) -> tuple[int, bool] | None:
    """When a process of this machine started, in ticks, and whether it is more than a zombie."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[18]), state not in ("Z", "X")  # field 22 of proc(5): starttime
