"""Claims: who works on what in a store, so that two runs never work on one item.

Data flow: name > file `STORE/.claims/NAME`, made by whoever comes first > its time is renewed while
the owner works > removed when the work is done, or taken over once the owner is dead.

On the owner's host the operating system knows whether it lives; elsewhere a claim whose time was
not renewed for `STALE` seconds is dead.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

FOLDER = ".claims"
"""Folder of the claims in a store."""
INDEX = ".index"
"""Lock that is held while the files in the store's own folder are written."""
DEAD = ".dead."
"""How the names of locks begin under which claims of the dead are removed."""
BEAT = 20.0
"""Seconds after which the times of the claims are renewed."""
STALE = 300.0
"""Seconds without renewal after which a claim from another host is dead."""
UNWRITTEN = 2.0
"""Seconds for which a claim may be empty: its owner was killed between making and writing it."""
LOCK_POLL = 0.02
"""Seconds between attempts to get a lock."""


@dataclass(frozen=True)
class Owner:
    """Who holds a claim.

    Attributes:
        host: Name of the host and number of its table of processes (containers have their own).
        pid: Number of the process.
        started: When the process started, in the host's ticks, since numbers are used again;
            empty where the operating system does not tell.
    """

    host: str
    pid: int
    started: str

    def lives(self, age: float) -> bool:
        """Whether the owner still works; `age` is the seconds since it renewed the claim."""
        if self.host != _host():
            return age < STALE
        started = _started(self.pid)
        return started is not None and (not started or started == self.started)


class Claims:
    """Claims of this process in one store; use as a context manager, which gives all back.

    Args:
        store: Folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER
        me = Owner(_host(), os.getpid(), _started(os.getpid()) or "")
        self._content = json.dumps(asdict(me)).encode()
        self._held: set[str] = set()
        self._ended = threading.Event()
        self._renewal = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "Claims":
        self._clear()
        self._renewal.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._renewal.join()
        # Where a claim cannot be removed (rights lost), what stopped the run is told, not this.
        with suppress(OSError):
            self.release_all()
            self._folder.rmdir()  # fails, as it should, while others hold claims

    def take(self, name: str) -> bool:
        """Claims a name; False if somebody who lives holds it.

        Raises:
            OSError: If the store cannot be written to.
        """
        path = self._folder / name
        if not self._made(path):
            content, lives = self._look(path)
            if lives or (content is not None and not self._removed(path, content)):
                return False
            if not self._made(path):
                return False
        self._held.add(name)
        return True

    def release(self, name: str) -> None:
        """Gives a claim back; one that others took over meanwhile stays theirs."""
        self._held.discard(name)
        path = self._folder / name
        with suppress(FileNotFoundError):
            if path.read_bytes() == self._content:
                path.unlink()

    def release_all(self) -> None:
        """Gives all claims back."""
        for name in list(self._held):
            self.release(name)

    def claimed(self, name: str) -> bool:
        """Whether somebody who lives, perhaps this process, holds a name."""
        return self._look(self._folder / name)[1]

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds a name for a moment; waits for others who do."""
        while not self.take(name):
            time.sleep(LOCK_POLL)
        try:
            yield
        finally:
            self.release(name)

    def _clear(self) -> None:
        """Removes what the dead left, also of items that they finished."""
        for path in list(self._folder.iterdir()) if self._folder.is_dir() else []:
            if path.name.startswith(DEAD):
                self._unlock_if_dead(path)
                continue
            content, lives = self._look(path)
            if content is not None and not lives:
                self._removed(path, content)

    def _made(self, path: Path) -> bool:
        """Makes the file of a claim; False if there is one."""
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                return False
            except FileNotFoundError:  # another run just ended and removed the empty folder
                continue
            break
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._content)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return True

    def _look(self, path: Path) -> tuple[bytes | None, bool]:
        """What a claim says (None if it is gone) and whether its owner lives."""
        until = time.monotonic() + UNWRITTEN
        while True:
            try:
                content, age = path.read_bytes(), time.time() - path.stat().st_mtime
            except FileNotFoundError:
                return None, False
            if content or time.monotonic() > until:
                break
            time.sleep(LOCK_POLL)
        try:
            return content, Owner(**json.loads(content)).lives(age)
        except (ValueError, TypeError):  # cut off, or not ours: nobody renews it
            return content, False

    def _removed(self, path: Path, content: bytes) -> bool:
        """Removes a dead owner's claim; False if somebody is faster.

        Only who holds the lock of the name removes it, and only if it still says what it said: what
        came in its place is the claim of a faster one.
        """
        lock = path.with_name(f"{DEAD}{path.name}")
        if not self._made(lock):
            self._unlock_if_dead(lock)
            return False
        try:
            young = time.time() - path.stat().st_mtime < UNWRITTEN
            same = path.read_bytes() == content and (content != b"" or not young)
            if same:
                path.unlink()
        except FileNotFoundError:
            return False
        finally:
            lock.unlink(missing_ok=True)
        return same

    def _unlock_if_dead(self, lock: Path) -> None:
        """Removes the lock of one that was killed in taking over."""
        content, lives = self._look(lock)
        if content is not None and not lives:
            lock.unlink(missing_ok=True)

    def _renew(self) -> None:
        """Renews the times of all claims until the end."""
        while not self._ended.wait(BEAT):
            for name in list(self._held):
                with suppress(OSError):  # a claim that is not renewed is, at worst, taken over
                    os.utime(self._folder / name)


def _host() -> str:
    """Name of this host, and of the table in which its process numbers count."""
    table = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {table.stat().st_ino if table.exists() else 0}"


def _started(pid: int) -> str | None:
    """When a process of this host started; empty if that is not told, None if it is dead."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # somebody else's process
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if state in ("Z", "X") else fields[18]  # field 22 of proc(5): starttime
