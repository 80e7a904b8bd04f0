"""What went wrong with which item, and which faults are an item's and not the run's.

Data flow: error > cause, if it is the item's > `STORE/failures.csv` > the next run passes it over.

The file has a row for each item that failed and has not succeeded since: id, path, cause, time, and
a key (hash of the source and of every setting): another key means that trying again makes sense.
"""

import csv
import errno
import io
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from features.cli.scratch import TemporaryFault
from features.errors import UserError
from features.pipeline.discovery import Source
from features.store.atomic_file import write_atomically
from features.store.claims import INDEX, Claims

FILE = "failures.csv"
CPU_FULL = ("can't allocate memory", "not enough memory")
"""What torch's RuntimeErrors say where main memory is full, on Linux and on Windows."""
_RUN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Faults of the place that is written to."""


@dataclass(frozen=True)
class Failure:
    """An item that failed.

    Attributes:
        id: Id of the source.
        path: Its file, or its first folder of crops.
        cause: One line.
        time: When, UTC.
        key: Hash of the source and of every setting; empty if the source could not be read.
    """

    id: str
    path: str
    cause: str
    time: str = ""
    key: str = ""


class Failures:
    """The failures that stand in a store; runs on other shards rewrite its file too.

    Args:
        store: Folder of the store.
        claims: Claims of this run in the store.
    """

    def __init__(self, store: Path, claims: Claims) -> None:
        self._file, self._claims = store / FILE, claims

    def standing(self) -> dict[str, Failure]:
        """Failures by id; those whose file is gone no longer stand."""
        try:
            text = self._file.read_bytes().decode(errors="surrogateescape")
        except FileNotFoundError:
            return {}
        names = [field.name for field in fields(Failure)]
        found = csv.DictReader(io.StringIO(text, newline=""))
        failures = [Failure(**{name: row.get(name) or "" for name in names}) for row in found]
        return {f.id: f for f in failures if f.id and Path(f.path).exists()}

    def add(self, source: Source, cause: str, key: str) -> None:
        """Writes down a failure, or writes it anew."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        failure = Failure(source.id, str(_files(source)[0]), " ".join(cause.split()), now, key)
        with self._claims.lock(INDEX):
            self._write([*(self.standing() | {source.id: failure}).values()])

    def drop(self, ids: Iterable[str]) -> None:
        """Crosses out items that succeeded."""
        gone = self.standing().keys() & set(ids)
        if gone:
            with self._claims.lock(INDEX):
                self._write([f for name, f in self.standing().items() if name not in gone])

    def _write(self, failures: list[Failure]) -> None:
        """Rewrites the file, ordered by id; without failures there is none."""
        if not failures:
            self._file.unlink(missing_ok=True)
            return
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, [field.name for field in fields(Failure)])
        writer.writeheader()
        writer.writerows(asdict(f) for f in sorted(failures, key=lambda f: f.id))
        write_atomically(self._file, out.getvalue().encode(errors="surrogateescape"))


def is_the_runs(error: OSError, source: Source) -> bool:
    """Whether an error met in working on a source would meet every source alike.

    That is so for a full disk, a read-only file system and rights that are lost, unless the error
    names a file of the source; and for any fault of the folder of temporary files.
    """
    if isinstance(error, TemporaryFault):
        return True
    named = _named(error)
    own = named is not None and any(f == named or f in named.parents for f in _files(source))
    return error.errno in _RUN and not own


def cause_of(error: UserError | OSError, source: Source) -> str:
    """The cause, in one line, of an error that is the source's."""
    if isinstance(error, UserError):
        return str(error)
    if error.errno == errno.ENAMETOOLONG:
        return f"{source.id}: too long a name for a track; rename the file"
    named = _named(error) or _files(source)[0]
    return f"{named}: {(error.strerror or str(error)).lower()}; mend it or leave it out"


def is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether memory, the machine's or the GPU's, was too small."""
    import torch  # takes seconds, which a run that only plans can do without

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in CPU_FULL)


def _named(error: OSError) -> Path | None:
    """The file that an error names, if any; Python may put a number there."""
    name = error.filename
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _files(source: Source) -> list[Path]:
    """Files and folders of a source."""
    folders = [folder for person in source.crops.values() for folder in person]
    return [*source.files, *folders]
