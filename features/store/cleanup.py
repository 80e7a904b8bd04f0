"""Temporary files that killed runs left in a store. Data flow: store > those of the dead > removed.

Files are written under a temporary name (`features.store.atomic_file.write_atomically`), which
stays if the
writer is killed. Tracks are written by whoever claims their video, so a temporary track of a video
that nobody claims is dead, and so is one in the store's own folder if nobody holds its lock; of
other files only the age tells, by the clock of the disk that they are on.
"""

import time
from collections.abc import Collection
from pathlib import Path

from features.store.atomic_file import PARTIAL
from features.store.claims import FOLDER, INDEX, Claims
from features.store.person_names import split_person
from features.store.track_store import SUFFIX

OLD = 300.0
"""Seconds after which a temporary file is dead, whoever wrote it."""


def sweep(store: Path, streams: Collection[str], claims: Claims) -> None:
    """Removes temporary files of dead runs.

    Args:
        store: Folder of the store.
        streams: Streams that only extraction writes, which claims videos.
        claims: Claims of this run.
    """
    with claims.lock(INDEX):
        now = (store / FOLDER / INDEX).stat().st_mtime  # just written
        for path in _temporary(store, ".*"):
            path.unlink(missing_ok=True)
    for path in _temporary(store, "*/.*"):
        if age_of(path, now) > OLD:
            path.unlink(missing_ok=True)
        elif path.parent.name in streams:
            with claims.free(claims_of(path)) as free:
                if free:
                    path.unlink(missing_ok=True)


def claims_of(path: Path) -> set[str]:
    """Names of which a run holds one while it writes this file of a store, finished or temporary.

    A track's are the ids of the videos that it may belong to.
    """
    name = path.name
    if PARTIAL.fullmatch(name):  # .NAME.abcdefgh.partial
        name = name[1:].rsplit(".", 2)[0]
    if not name.endswith(SUFFIX):
        return {INDEX}
    track = name.removesuffix(SUFFIX)
    return {track, split_person(track)[0]}


def age_of(path: Path, now: float | None = None) -> float:
    """Seconds since the last change; 0 if the file is gone.

    Args:
        path: The file.
        now: Present time of the disk that it is on; None: this machine's, which may differ.
    """
    try:
        return (time.time() if now is None else now) - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _temporary(store: Path, pattern: str) -> list[Path]:
    return [path for path in store.glob(pattern) if PARTIAL.fullmatch(path.name)]
