"""Folders for temporary files outside the store, which no killed run leaves for good.

Data flow: folder > a lease in it, held while its process lives > removed at the end; by the next
run where the process was killed.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.cli.scratch import telling_the_folder
from features.store.leases import Lease

MARK = ".affuse-lease"
"""File of the lease in a folder."""


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new folder for temporary files; it is gone afterwards.

    Args:
        purpose: Becomes part of its name.
    """
    with telling_the_folder():
        made = tempfile.TemporaryDirectory(prefix=f"affuse-{purpose}-")
    with made as name:
        with telling_the_folder():
            mark = mark_ours(Path(name))
        try:
            yield Path(name)
        finally:
            mark.release()


def mark_ours(folder: Path) -> Lease:
    """Marks a folder among the temporary ones as this process's, as long as that lives."""
    mark = Lease(folder / MARK)
    mark.take()
    return mark


def sweep_folders() -> None:
    """Removes the folders of processes that are dead; those of other users stay."""
    top = Path(tempfile.gettempdir())
    for folder in top.iterdir():
        with suppress(OSError):
            if (folder / MARK).exists() and Lease(folder / MARK).take():
                shutil.rmtree(folder)
