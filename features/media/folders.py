"""Folders and what is in them, links to other folders included.

Data flow: root > its folders, each once > names of the folders and files in it.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger(__name__)


def say_unreadable(folder: Path, error: OSError) -> None:
    """Names a folder that cannot be listed."""
    log.warning("%s: cannot be read (%s), so nothing in it counts; mend its rights, or move it out",
                folder, error.strerror)  # fmt: skip


def walk(
    root: Path, on_unreadable: Callable[[Path, OSError], object] = say_unreadable
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders at or below `root` with the names of folders and of files in them, as `os.walk`.

    Links to folders are followed. Every folder comes once: by its own path where it lies below
    `root`, else by the first link to it; a link to what `root` lies in leads nowhere. So neither
    loops nor a second link to the same videos do any harm.

    Args:
        root: Where to begin.
        on_unreadable: Is told of each folder that cannot be listed, and why.

    Yields:
        Folder, names of folders in it, from which those not to be entered may be removed, and
        names of its files: whatever is no folder, broken links and pipes included. All by name.
        Nothing of a root that is itself no folder.
    """
    if root.exists() and not root.is_dir():
        return
    seen = {_identity(parent) for parent in root.resolve().parents}
    links: deque[Path] = deque()
    waiting = [root]
    while waiting or links:
        folder = waiting.pop() if waiting else links.popleft()
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            folders, files = _listed(folder)
        except OSError as error:
            on_unreadable(folder, error)
            continue
        yield folder, folders, files
        inside = [folder / name for name in folders]
        links += (path for path in inside if path.is_symlink())  # after all that is really there
        waiting += (path for path in reversed(inside) if not path.is_symlink())


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of folders and of files."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            (folders if _is_folder(entry) else files).append(entry.name)
    return sorted(folders), sorted(files)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is one, also by a link; what a link leads to may be out of reach."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino
