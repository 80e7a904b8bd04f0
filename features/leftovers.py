"""Temporary files that killed runs left in a store. Data flow: store > those of the dead > removed.

Files are written under a temporary name (`features.track.write_atomically`), which stays if the
writer is killed. Tracks are written by whoever claims their video, so a temporary track of a video
that nobody claims is dead, and so is one in the store's own folder if nobody holds its lock; of
other files only the age tells.
"""

import re
import time
from collections.abc import Collection
from pathlib import Path

from features.claims import INDEX, Claims
from features.sources import split_person
from features.store import SUFFIX

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
        for path in store.glob(".*.partial"):
            path.unlink(missing_ok=True)
    for path in list(store.glob("*/.*.partial")):  # listed first: a claim's end is the file's end
        unclaimed = path.parent.name in streams and not any(map(claims.claimed, _videos(path)))
        if unclaimed or _age(path) > OLD:
            path.unlink(missing_ok=True)


def _videos(path: Path) -> set[str]:
    """Ids of the videos that a temporary track, `.ID.safetensors.*.partial`, may belong to."""
    track = re.fullmatch(rf"\.(.+){re.escape(SUFFIX)}\.[^.]*\.partial", path.name)
    return {track[1], split_person(track[1])[0]} if track else set()


def _age(path: Path) -> float:
    """Seconds since the last change; 0 if the file is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
