"""Claims: who works on what in a store, so that two runs never work on one item.

Data flow: name > lease on `STORE/.claims/NAME` (leases.py) > given back when the work is done, or
taken over once the owner is dead.
"""

import hashlib
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from features.store.leases import Lease

FOLDER = ".claims"
"""Folder of the claims in a store."""
INDEX = ".index"
"""Lock that is held while the files in the store's own folder are written."""
LOCK_POLL = 0.02
"""Seconds between attempts to get a lock."""
SETTLED = 2.0
"""Seconds for which what a taking over has left must lie unchanged before it is removed."""
LONGEST = 180
"""Bytes of a name from which on its hash stands for it: leases need room in a file's name."""
_ASIDE = re.compile(r".+\.(break\.\d+|restore\.\d+|dead)\.[0-9a-f]{32}")
"""Names of files that one who takes over moves out of the way, filelock's and ours."""


class Claims:
    """Claims of this process in one store; use as a context manager, which gives all back.

    Args:
        store: Folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER
        self._held = dict[str, Lease]()
        self._watched = dict[str, Lease]()  # whose holders may be dead

    def __enter__(self) -> "Claims":
        self._clear()
        return self

    def __exit__(self, *_: object) -> None:
        # Where a claim cannot be removed (rights lost), what stopped the run is told, not this.
        with suppress(OSError):
            self.release_all()
            self._folder.rmdir()  # fails, as it should, while others hold claims

    def take(self, name: str) -> bool:
        """Claims a name; False if somebody holds it, who is not known to be dead.

        Raises:
            OSError: If the store cannot be written to.
        """
        if name in self._held:
            return False
        lease = self._watched.pop(name, None) or Lease(self._folder / file_of(name))
        if lease.take():
            self._held[name] = lease
            return True
        if lease.in_doubt:
            self._watched[name] = lease
        return False

    def in_doubt(self, name: str) -> bool:
        """Whether a name that could not be taken may be that of a dead run; ask again later."""
        return name in self._watched

    def release(self, name: str) -> None:
        """Gives a claim back; one that others took over meanwhile stays theirs."""
        lease = self._held.pop(name, None)
        if lease is not None:
            lease.release()

    def release_all(self) -> None:
        """Gives all claims back."""
        for name in list(self._held):
            self.release(name)

    def names(self) -> list[str]:
        """Files of all claims, also those of the dead."""
        paths = self._folder.iterdir() if self._folder.is_dir() else []
        return sorted(path.name for path in paths if not _ASIDE.fullmatch(path.name))

    def claimed(self, name: str) -> bool:
        """Whether somebody who is not known to be dead, perhaps this process, holds a claim.

        Nothing is written: it is judged by trying to take a copy.

        Args:
            name: Of `names`.
        """
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return False
        with TemporaryDirectory(prefix="affuse-claim-") as folder:
            copy = Path(folder) / "copy"
            copy.write_bytes(content)
            lease = Lease(copy)
            taken = lease.take()
            lease.release()
        return not taken

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds a name for a moment; waits for others who do."""
        while not self.take(name):
            time.sleep(LOCK_POLL)
        try:
            yield
        finally:
            self.release(name)

    @contextmanager
    def free(self, names: Collection[str]) -> Iterator[bool]:
        """Whether nobody holds any of the names; then nobody gets them meanwhile."""
        taken = list(takewhile(self.take, sorted(names)))
        try:
            yield len(taken) == len(names)
        finally:
            for name in taken:
                self.release(name)

    def _clear(self) -> None:
        """Removes what the dead left, also of items that they finished."""
        for name in self.names():
            lease = Lease(self._folder / name)
            if lease.take():
                lease.release()
        asides = self._asides()
        if asides:
            time.sleep(SETTLED)
            for path in asides & self._asides():
                path.unlink(missing_ok=True)

    def _asides(self) -> set[Path]:
        """Files that somebody, perhaps killed at it, moved out of the way."""
        paths = self._folder.iterdir() if self._folder.is_dir() else []
        return {path for path in paths if _ASIDE.fullmatch(path.name)}


def file_of(name: str) -> str:
    """Name of the file in which a name is claimed."""
    code = name.encode(errors="surrogateescape")
    return name if len(code) <= LONGEST else hashlib.sha256(code).hexdigest()
