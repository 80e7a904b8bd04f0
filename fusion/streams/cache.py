"""Which kept aligned tracks are still in use; the others are removed.

Data flow: track used > its file's time renewed, once a day; track written > old ones removed.

An aligned track is kept under a name that changes with its original, the frame times and the
window, so a new one never replaces an old one that another run may be reading. Age alone tells.
A store that can only be read has them in a temporary folder of the process.
"""

import errno
import os
import re
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

from features.store.atomic_file import PARTIAL
from features.store.cleanup import age_of
from features.store.track_store import SUFFIX

DAY = 24 * 3600.0
"""Seconds for which a file's time is new enough."""
UNUSED = 14 * DAY
"""Seconds without use after which an aligned track is removed."""
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of a folder that cannot be written to."""
_own: list[tempfile.TemporaryDirectory[str]] = []
_KEPT = re.compile(rf".+-[0-9a-f]{{16}}{re.escape(SUFFIX)}")


def mark_used(path: Path) -> None:
    """Renews the time of an aligned track that is being used."""
    with suppress(OSError):  # gone, or a folder that may only be read: nothing is removed there
        if time.time() - path.stat().st_mtime > DAY:
            os.utime(path)


@cache
def sweep(folder: Path) -> None:
    """Removes aligned tracks, and temporary files, that nobody has used for long; once a process.

    Args:
        folder: Folder of aligned tracks, with a folder a stream; other files in it stay.
    """
    for path in folder.glob("*/*"):
        ours = _KEPT.fullmatch(path.name) or PARTIAL.fullmatch(path.name)
        if ours and age_of(path) > UNUSED:
            with suppress(PermissionError):  # another user's, who will remove it
                path.unlink(missing_ok=True)


def own_caches(*, made: bool) -> list[Path]:
    """The process's own temporary folder of aligned tracks; it goes when the process ends.

    Args:
        made: Whether to make it, and say so, if there is none yet; else there may be none.
    """
    if made and not _own:
        _own.append(tempfile.TemporaryDirectory(prefix="affuse-aligned-"))
        warnings.warn(
            f"the tracks' folder can only be read: streams are aligned anew, in {_own[0].name};"
            " --data.cache FOLDER keeps them",
            stacklevel=2,
        )
    return [Path(folder.name) for folder in _own]
