"""A thread that takes the job that waits longest, has a process work on it, and notes the end.

Data flow: JobStore > Worker > progress and outcome > JobStore.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence

from fusion.serving.folders import Folders
from fusion.serving.jobs import Job, JobStore, State
from fusion.serving.metrics import Metrics
from fusion.serving.settings import ServiceSettings
from fusion.serving.worker import Outcome, Progress, Worker, WorkerDied

log = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between looks at whether a job is still wanted."""
WRITE = 0.5
"""Seconds between notes of progress."""
DIED = "the process that works on it died {} times"
PAUSE = 2.0
"""Seconds after a fault of the service itself."""


class Runner(threading.Thread):
    """Works until the service stops.

    Args:
        settings: Of the service.
        store: Jobs.
        folders: Their files.
        metrics: What is counted.
        stopping: Set when the service stops; running jobs then have `settings.grace` seconds.
        cores: Cores of its process; empty: all.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        store: JobStore,
        folders: Folders,
        metrics: Metrics,
        stopping: threading.Event,
        cores: Sequence[int] = (),
    ) -> None:
        super().__init__(name="runner", daemon=True)
        self.wake = threading.Event()
        self._claiming, self._job = threading.Lock(), ""
        self._settings, self._store, self._folders = settings, store, folders
        self._metrics, self._stopping, self._cores = metrics, stopping, tuple(cores)
        self._worker: Worker | None = None

    def holds(self, name: str) -> bool:
        """Whether it is at a job, and may still write to its files."""
        with self._claiming:
            return self._job == name

    def run(self) -> None:
        """Works on job after job. A fault of the program ends it, which `/health` tells."""
        try:
            while not self._stopping.is_set():
                self._look()
        finally:
            self._drop()

    def _look(self) -> None:
        """Works on a job, or waits for one."""
        try:
            if not self._next():
                self.wake.wait(PAUSE)
                self.wake.clear()
        except (OSError, sqlite3.Error):  # such as of a full disk: said, and tried again
            log.exception("a runner failed; it goes on in %s s", PAUSE)
            self._give_up()
            self._stopping.wait(PAUSE)

    def _next(self) -> bool:
        """Works on a job if one waits; whether one did."""
        with self._claiming:
            job = self._store.claim()
            if job is None:
                return False
            self._job = job.id
        log.info("job %s: begun, attempt %d", job.id, job.attempts)
        try:
            self._end(job, self._worked(job))
        except WorkerDied:
            self._drop()
            self._again(job)
        self._job = ""
        return True

    def _worked(self, job: Job) -> Outcome | None:
        """How a job ended; None if it is not wanted any more."""
        worker = self._ready()
        worker.begin(self._folders.job(job.id))
        over, written = time.monotonic() + self._settings.job_time, 0.0
        stopped: float | None = None
        while True:
            said, now = worker.hear(LOOK), time.monotonic()
            if isinstance(said, Outcome):
                return said
            if isinstance(said, Progress) and now >= written + WRITE:
                self._store.progress(job.id, said.stage, said.share)
                written = now
            if now >= over:
                self._drop()
                return Outcome("refused", f"took longer than {self._settings.job_time:g} s")
            if self._stopping.is_set():
                stopped = stopped or now
                if now >= stopped + self._settings.grace:
                    self._drop()
                    self._store.requeue(job.id, counts=False)
                    log.info("job %s: waits for the next start", job.id)
                    return None
            current = self._store.get(job.id)
            if current is None or current.state != "running":
                self._drop()
                return None

    def _end(self, job: Job, outcome: Outcome | None) -> None:
        """Notes how a job ended, and removes what is not its result."""
        if outcome is None:
            return
        if outcome.how == "fault":
            log.error("job %s: %s", job.id, outcome.said)
            self._drop()
        done = outcome.how == "done"
        state: State = "done" if done else "failed"
        cause = {"done": "", "refused": outcome.said}.get(
            outcome.how, "a fault of the service, which its log tells; the upload may be fine"
        )
        files = self._folders.results(job.id) if done else []
        if self._store.end(job.id, state, cause, files):  # first, so that a kill loses no upload
            self._folders.tidy(job.id, done)
            self._metrics.ended(state, time.time() - (job.started or 0.0))
            log.info("job %s: %s%s", job.id, state, f", {cause}" if cause else "")

    def _again(self, job: Job) -> None:
        """Has a job wait again whose process died, or fail if it did so too often."""
        log.warning("job %s: the process that worked on it died", job.id)
        if job.attempts >= self._settings.attempts:
            self._end(job, Outcome("refused", DIED.format(job.attempts)))
        else:
            self._store.requeue(job.id)

    def _give_up(self) -> None:
        """Kills the process and has its job wait again, as far as that can be noted."""
        self._drop()
        name, self._job = self._job, ""
        if name:
            try:
                self._store.requeue(name)
            except (OSError, sqlite3.Error):
                log.exception("job %s: stays as it is until the next start", name)

    def _ready(self) -> Worker:
        """The process, a new one if there is none or it has done enough."""
        if self._worker is not None and self._worker.done >= self._settings.recycle:
            self._drop()
        if self._worker is None:
            self._worker = Worker(self._settings.work, self._cores)
            self._metrics.starts.inc()
        return self._worker

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
