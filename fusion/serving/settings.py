"""What a service is told. Data flow: command line > ServiceSettings > every part of the service."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Tell = Callable[[str, float], None]
"""Is told the stage of a work, and the share of it that is done, from 0 to 1."""

LOCAL_HOSTS = ("127.0.0.1", "localhost")
"""Where a service without a token may listen, and by which names it may be called then."""
SHORTEST_TOKEN = 16
"""Characters of a token, at least."""


class Work(Protocol):
    """What is done with an upload, in a process of its own: it must be picklable."""

    def __call__(self, folder: Path, tell: Tell) -> None:
        """Reads `folder/clip` and writes its results into `folder/out`.

        Raises:
            UserError: If it is the upload that is at fault; its words are told to the client.
        """


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of the service.

    Attributes:
        folder: Where jobs and their files lie.
        work: What is done with an upload.
        token: What a client must show; None: nothing, and only this machine may ask.
        limit: Bytes of an upload, at most.
        queue: Uploads that are arriving or wait, at most.
        keep: Seconds for which the files of an ended job are kept.
        job_time: Seconds that a job may take.
        attempts: Times that a job is begun, if the process that works on it dies.
        workers: Processes that work, each on its share of the cores.
        recycle: Jobs after which a process is replaced by a new one.
        grace: Seconds that running jobs are given when the service is stopped.
        idle: Seconds without a byte after which an upload is given up.
        upload_time: Seconds that an upload may take.
        reserve: Bytes of the disk that uploads leave free.
    """

    folder: Path
    work: Work
    token: str | None = None
    limit: int = 2 << 30
    queue: int = 20
    keep: float = 24 * 3600.0
    job_time: float = 3600.0
    attempts: int = 3
    workers: int = 1
    recycle: int = 50
    grace: float = 5.0
    idle: float = 30.0
    upload_time: float = 3600.0
    reserve: int = 1 << 30
