"""The service without its HTTP: uploads are taken in, jobs worked on, cancelled and expired.

Data flow: reserved place > upload > job > Runner > results > their end.
"""

import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from filelock import FileLock, Timeout

from features.errors import UserError
from fusion.serving.folders import Folders
from fusion.serving.jobs import ENDED, Job, JobStore
from fusion.serving.metrics import Metrics
from fusion.serving.runner import DIED, Runner
from fusion.serving.settings import ServiceSettings

log = logging.getLogger(__name__)

CLEAN = 30.0
"""Seconds between looks for what is to expire, at most."""
REMEMBER = 30 * 24 * 3600.0
"""Seconds for which it is known of a job that it expired."""
KILL = 10.0
"""Seconds that the process of a cancelled job may take to be gone."""
LONGEST_WAIT = 600


class QueueFull(Exception):
    """As many uploads wait or arrive as may."""


class NoSpace(Exception):
    """The disk has no room for another upload."""


class Service:
    """Jobs of one folder.

    Args:
        settings: Of the service.

    Raises:
        UserError: If another service works in the folder.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings, self.folders, self.metrics = settings, Folders(settings.folder), Metrics()
        self._lock = FileLock(self.folders.lock, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise UserError(
                f"{settings.folder}: another service works in it; stop it, or give another --folder"
            ) from error
        self.store = JobStore(self.folders.base)
        self.stopping = threading.Event()
        self._places, self._arriving = threading.Lock(), 0
        self._runners: list[Runner] = []
        self._cleaner = threading.Thread(target=self._clean_on, name="cleaner", daemon=True)

    def start(self) -> None:
        """Goes on with what a former service left, and begins to work."""
        left, most = self.folders.sweep(self.store.ids()), self.settings.attempts
        again = self.store.requeue_all(most, DIED.format(most))
        for job in self.store.ended():  # one that was killed at its end has not tidied up
            self.folders.tidy(job.id, job.state == "done")
        if left or again:
            log.info("found %d jobs to go on with; removed %d aborted uploads", again, left)
        for cores in core_sets(self.settings.workers):
            self._runners.append(
                Runner(self.settings, self.store, self.folders, self.metrics, self.stopping, cores)
            )
        for thread in (*self._runners, self._cleaner):
            thread.start()

    def stop(self) -> None:
        """Gives running jobs some time, has the others wait for the next start, and ends."""
        self.stopping.set()
        for runner in self._runners:
            runner.wake.set()
        for thread in (*self._runners, self._cleaner):
            thread.join()
        self.store.close()
        self._lock.release()

    @property
    def working(self) -> int:
        """How many runners are alive."""
        return sum(runner.is_alive() for runner in self._runners)

    def status(self) -> Literal["ok", "stopping", "no worker", "no space"]:
        """Whether uploads are taken and worked on, or why not."""
        if self.stopping.is_set():
            return "stopping"
        if self.working < self.settings.workers:
            return "no worker"
        needed = self.settings.limit + self.settings.reserve
        return "ok" if self.folders.free() >= needed else "no space"

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, held while an upload arrives.

        Raises:
            QueueFull: If there is none.
            NoSpace: If the disk has no room for the largest upload.
        """
        with self._places:
            if self._arriving + self.store.counts()["queued"] >= self.settings.queue:
                raise QueueFull
            needed = (self._arriving + 1) * self.settings.limit + self.settings.reserve
            if self.folders.free() < needed:
                raise NoSpace
            self._arriving += 1
        try:
            yield
        finally:
            with self._places:
                self._arriving -= 1

    def accept(self, name: str, size: int) -> Job:
        """Makes a job of what arrived."""
        self.folders.accept(name)
        job = self.store.add(name, size)
        log.info("job %s: accepted, %d bytes", name, size)
        for runner in self._runners:
            runner.wake.set()
        return job

    def retry_after(self) -> int:
        """Whole seconds after which there may be a place."""
        usual = self.store.mean_seconds() or 30.0
        return min(max(1, math.ceil(usual / max(self.settings.workers, 1))), LONGEST_WAIT)

    def delete(self, job: Job) -> None:
        """Cancels a job that has not ended, and removes all its files.

        Raises:
            OSError: If any of them is still there.
        """
        if self.store.cancel(job.id):
            self.metrics.ended("cancelled", time.time() - (job.started or time.time()))
            log.info("job %s: cancelled", job.id)
        over = time.monotonic() + KILL
        while any(runner.holds(job.id) for runner in self._runners):
            if time.monotonic() > over:
                raise OSError(f"job {job.id}: its process is still there")
            time.sleep(0.02)
        self.folders.remove(job.id)
        current = self.store.get(job.id)
        if current is not None and current.state in ENDED and current.state != "cancelled":
            self.store.expire(job.id)

    def clean(self) -> None:
        """Removes the files of jobs that ended long enough ago, and looks whether they are gone."""
        now = time.time()
        for job in self.store.ended(now - self.settings.keep):
            self.folders.remove(job.id)
            self.store.expire(job.id)
            log.info("job %s: expired, its files are gone", job.id)
        self.store.forget(now - REMEMBER)

    def _clean_on(self) -> None:
        while not self.stopping.wait(min(CLEAN, max(self.settings.keep / 4, 0.05))):
            try:
                self.clean()
            except (OSError, sqlite3.Error):  # of the disk: said, and tried again
                log.exception("files of jobs could not be removed; tried again")


def core_sets(workers: int) -> list[tuple[int, ...]]:
    """Cores of each of some processes, all of them for one alone (an empty set)."""
    if workers == 1:
        return [()]
    cores = sorted(os.sched_getaffinity(0))
    return [tuple(cores[i % len(cores) :: workers]) for i in range(workers)]
