"""Temporary files, and whose fault it is when they cannot be written: no item's.

Data flow: bytes > ScratchFile > bytes; fault of the temporary folder > TemporaryFault, which names
it.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, Self

import numpy as np


class TemporaryFault(OSError):
    """The temporary folder is full, or cannot be written to; `filename` is the folder."""


class ScratchFile:
    """A temporary file that is gone when it is closed, or its process dead.

    Args:
        prefix: Beginning of its name, where it has one.

    Raises:
        TemporaryFault: By each method, if the folder of temporary files is full or not there.
    """

    def __init__(self, prefix: str) -> None:
        with telling_the_folder():
            self.file: IO[bytes] = TemporaryFile(prefix=prefix)  # noqa: SIM115 (see close)

    def write(self, data: np.ndarray) -> None:
        """Appends the bytes of an array."""
        with telling_the_folder():
            self.file.write(np.ascontiguousarray(data).reshape(-1).view(np.uint8).data)

    def flush(self) -> None:
        """Has all that was written be in the file; to be called before it is read."""
        with telling_the_folder():
            self.file.flush()

    def close(self) -> None:
        """Throws the file away."""
        with suppress(OSError):  # of bytes that were never flushed, which nobody wants any more
            self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def telling_the_folder() -> Iterator[None]:
    """Has errors within, all of which are those of temporary files, name their folder."""
    try:
        yield
    except OSError as error:
        fault = error.errno or errno.EIO, error.strerror or str(error)
        raise TemporaryFault(*fault, temporary_folder()) from error


def temporary_folder() -> str:
    """Where temporary files go, or should go."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none can be written to
        return os.environ.get("TMPDIR", "/tmp")
