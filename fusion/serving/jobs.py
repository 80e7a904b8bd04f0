"""Jobs and their states, in SQLite, so that a restart goes on.

Data flow: upload > queued > running > done, failed or cancelled > expired, when the files are gone.

Every change names the state that it starts from, so that of two who want different things, as a
worker that is done and a client who cancels, one comes first and the other is told so.
"""

import json
import math
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled", "expired")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
"""States of a job that nobody works on any more, though files may be there."""

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL,
    started REAL, ended REAL, attempts INTEGER NOT NULL DEFAULT 0, stage TEXT NOT NULL DEFAULT '',
    share REAL NOT NULL DEFAULT 0, cause TEXT NOT NULL DEFAULT '', files TEXT NOT NULL DEFAULT '[]'
)
"""
_COLUMNS = "id, state, bytes, created, started, ended, attempts, stage, share, cause, files"


@dataclass(frozen=True)
class Job:
    """A job as it stands.

    Attributes:
        id: Made by the service: 32 hexadecimal digits.
        state: See `State`.
        bytes: Size of the upload.
        created: When it was accepted, in seconds since 1970, as the next two.
        started: When it was last begun.
        ended: When it came to its end; of an expired job, when its files went.
        attempts: How often it was begun.
        stage: What is being done.
        share: Of the stage that is done, from 0 to 1.
        cause: Why it failed.
        files: Names and sizes of its results.
    """

    id: str
    state: State
    bytes: int
    created: float
    started: float | None
    ended: float | None
    attempts: int
    stage: str
    share: float
    cause: str
    files: tuple[tuple[str, int], ...]


class JobStore:
    """All jobs; may be used by many threads of one process.

    Args:
        path: The database, which is made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")  # what was accepted outlives a power cut
        self._base.execute(_TABLE)

    def close(self) -> None:
        """Ends the connection."""
        with self._lock:
            self._base.close()

    def add(self, name: str, size: int) -> Job:
        """A new job, which waits."""
        values = (name, size, time.time())
        self._do("INSERT INTO jobs (id, state, bytes, created) VALUES (?, 'queued', ?, ?)", *values)
        job = self.get(name)
        assert job is not None
        return job

    def get(self, name: str) -> Job | None:
        """The job of an id; None if there is none."""
        rows = self._do(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", name)
        return _job(rows[0]) if rows else None

    def ids(self) -> set[str]:
        """Ids of all jobs whose files may be there."""
        return {row[0] for row in self._do("SELECT id FROM jobs WHERE state != 'expired'")}

    def counts(self) -> dict[State, int]:
        """How many jobs there are in each state."""
        found = dict(self._do("SELECT state, COUNT(*) FROM jobs GROUP BY state"))
        return {state: found.get(state, 0) for state in STATES}

    def waiting_before(self, job: Job) -> int:
        """How many jobs wait longer than one."""
        (row,) = self._do(
            "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND (created, id) < (?, ?)",
            job.created,
            job.id,
        )
        return int(row[0])

    def claim(self) -> Job | None:
        """Has the job that waits longest run; None if none waits."""
        rows = self._do(
            "UPDATE jobs SET state = 'running', started = ?, attempts = attempts + 1, stage = '',"
            " share = 0 WHERE id = (SELECT id FROM jobs WHERE state = 'queued'"
            f" ORDER BY created, id LIMIT 1) RETURNING {_COLUMNS}",
            time.time(),
        )
        return _job(rows[0]) if rows else None

    def progress(self, name: str, stage: str, share: float) -> None:
        """Notes how far a running job is."""
        self._do(
            "UPDATE jobs SET stage = ?, share = ? WHERE id = ? AND state = 'running'",
            stage,
            share,
            name,
        )

    def end(
        self, name: str, state: State, cause: str = "", files: Sequence[tuple[str, int]] = ()
    ) -> bool:
        """Ends a running job; False if it was not running any more."""
        return self._change(
            name,
            ("running",),
            state=state,
            ended=time.time(),
            cause=cause,
            files=json.dumps(list(files)),
            **({"stage": "", "share": 1.0} if state == "done" else {}),
        )

    def cancel(self, name: str) -> bool:
        """Cancels a job that waits or runs; False if it does neither."""
        return self._change(name, ("queued", "running"), state="cancelled", ended=time.time())

    def requeue(self, name: str, counts: bool = True) -> bool:
        """Has a running job wait again; False if it was not running any more.

        Args:
            name: Its id.
            counts: Whether it was an attempt, and not the service that ended it in good order.
        """
        order = (
            "UPDATE jobs SET state = 'queued', attempts = attempts - ? WHERE id = ?"
            " AND state = 'running' RETURNING id"
        )
        return bool(self._do(order, 0 if counts else 1, name))

    def requeue_all(self, attempts: int, cause: str) -> int:
        """Has every running job wait again, of a service that was killed; how many there were.

        Args:
            attempts: After so many a job fails: it may be what kills the service.
            cause: What is said of it then.
        """
        for job in self._of("running"):
            if job.attempts >= attempts:
                self.end(job.id, "failed", cause)
        order = "UPDATE jobs SET state = 'queued' WHERE state = 'running' RETURNING id"
        return len(self._do(order))

    def expire(self, name: str) -> bool:
        """Notes that the files of an ended job are gone."""
        return self._change(name, ENDED, state="expired", ended=time.time(), files="[]")

    def ended(self, before: float = math.inf) -> list[Job]:
        """Ended jobs that have not expired, of those that ended before a moment."""
        return [job for job in self._of(*ENDED) if job.ended is not None and job.ended < before]

    def forget(self, moment: float) -> None:
        """Removes jobs that expired before a moment."""
        self._do("DELETE FROM jobs WHERE state = 'expired' AND ended < ?", moment)

    def mean_seconds(self, of: int = 20) -> float:
        """Mean time that the last jobs took, so many at most; 0 if there was none."""
        (row,) = self._do(
            "SELECT AVG(took) FROM (SELECT ended - started AS took FROM jobs WHERE state = 'done'"
            " ORDER BY ended DESC LIMIT ?)",
            of,
        )
        return float(row[0] or 0.0)

    def _of(self, *states: State) -> list[Job]:
        marks = ", ".join("?" * len(states))
        found = self._do(f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({marks})", *states)
        return [_job(row) for row in found]

    def _change(self, name: str, before: Sequence[State], **columns: Any) -> bool:
        """Changes a job that is in one of some states; whether it was."""
        new = ", ".join(f"{column} = ?" for column in columns)
        marks = ", ".join("?" * len(before))
        return bool(
            self._do(
                f"UPDATE jobs SET {new} WHERE id = ? AND state IN ({marks}) RETURNING id",
                *columns.values(),
                name,
                *before,
            )
        )

    def _do(self, order: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._base.execute(order, values).fetchall()


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    files = tuple((name, size) for name, size in json.loads(values["files"]))
    return Job(**values | {"files": files})
