"""Executors: who makes items. In this process, or in worker processes that are watched.

Data flow: sources > `submit` > worker processes > `wait` > JobResults.

A worker that makes no progress is killed, and its item fails. One that dies is replaced, and its
item is tried once more. If the parent dies, all of them end.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Protocol

from features.errors import UserError
from features.execution.forkserver import start_method
from features.execution.job import JobResult
from features.execution.worker import Builder
from features.execution.worker_handle import WorkerHandle

if TYPE_CHECKING:  # both load torch, which a process that only watches can do without
    from features.execution.resources import Share
    from features.pipeline.discovery import Source

START_LIMIT = 600.0
"""Seconds that a worker may take until it can work, or the time limit of items if that is longer:
weights may come from a slow disk, or from a hub."""
POLL = 0.5
"""Seconds between looks at workers that say nothing."""
ATTEMPTS = 2
"""How often an item is given to a worker if workers die of it."""


log = logging.getLogger(__name__)


class Executor(Protocol):
    """Who makes items; to be closed."""

    @property
    def free(self) -> int:
        """How many items more can be taken on now."""
        ...

    def submit(self, source: "Source") -> None:
        """Takes on an item."""
        ...

    def wait(self) -> list[JobResult]:
        """Waits for at least one of the items taken on; none if there are none.

        Raises:
            UserError: If workers cannot start.
        """
        ...

    def close(self) -> None:
        """Ends all workers, whatever they are doing."""
        ...


class InProcessExecutor:
    """Works in this very process, without a time limit.

    Args:
        make: Makes an item.
    """

    def __init__(self, make: "Callable[[Source], JobResult]") -> None:
        self._make, self._done = make, list[JobResult]()

    @property
    def free(self) -> int:
        """1, but 0 while there is a result to be taken."""
        return 0 if self._done else 1

    def submit(self, source: "Source") -> None:
        """Makes an item."""
        self._done.append(self._make(source))

    def wait(self) -> list[JobResult]:
        """The result of the item."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Does nothing."""


class ProcessExecutor:
    """Worker processes on this machine; each starts when there is work for it.

    Args:
        build: Builds what each worker works with.
        share: How many workers there may be, with how many threads, on which devices.
        time_limit: Seconds that an item may go without progress; 0: any time, also to start.
    """

    def __init__(self, build: Builder, share: "Share", time_limit: float = 0.0) -> None:
        self._build, self._share, self._limit = build, share, time_limit
        self._context = start_method()
        self._workers: dict[int, WorkerHandle] = {}  # by their place, which tells the device
        self._queue = deque["Source"]()
        self._deaths = Counter[str]()

    @property
    def free(self) -> int:
        """Workers that have nothing to do, or have not been started."""
        busy = sum(worker.source is not None for worker in self._workers.values())
        return self._share.workers - busy - len(self._queue)

    def submit(self, source: "Source") -> None:
        """Gives an item to a worker, or keeps it for the next that is free."""
        self._queue.append(source)
        self._hand_out()

    def wait(self) -> list[JobResult]:
        """Waits for at least one of the items submitted; none if there are none.

        Raises:
            UserError: If a worker cannot start.
        """
        while self._queue or any(worker.source for worker in self._workers.values()):
            self._hand_out()
            workers = self._workers.items()
            wait(
                [one for _, worker in workers for one in (worker.pipe, worker.process.sentinel)],
                POLL,
            )
            looks = [self._look_after(place, worker) for place, worker in [*workers]]
            if results := [result for result in looks if result]:
                return results
        return []

    def close(self) -> None:
        """Kills all workers."""
        for place in list(self._workers):
            self._dismiss(place)

    def _hand_out(self) -> None:
        """Gives what waits to workers that are free, and starts workers for the rest."""
        for place in range(self._share.workers):
            worker = self._workers.get(place)
            if self._queue and worker is None:
                device, threads = self._share.device(place), self._share.threads
                worker = self._workers[place] = WorkerHandle(
                    self._context, self._build, device, threads
                )
            if self._queue and worker is not None and worker.source is None:
                worker.give(self._queue.popleft())

    def _look_after(self, place: int, worker: WorkerHandle) -> JobResult | None:
        """Takes what a worker says; replaces it if it is dead or stuck."""
        message = worker.said()
        if isinstance(message, UserError):
            raise message
        if isinstance(message, JobResult):
            worker.source = None
            return message
        if not worker.process.is_alive():
            return self._bury(place, worker)
        limit = self._limit and (self._limit if worker.ready else max(self._limit, START_LIMIT))
        if worker.source and 0 < limit < worker.silence:
            where = worker.place_now()
            if not worker.ready:
                raise UserError(
                    f"a worker process was not ready after {limit:g} s{where};"
                    " see what it waits for, or raise --time_limit"
                )
            cause = f"no progress for {self._limit:g} s{where}; leave it out, or raise --time_limit"
            self._dismiss(place)
            return JobResult(worker.source.id, cause=f"{worker.source.id}: {cause}")
        return None

    def _bury(self, place: int, worker: WorkerHandle) -> JobResult | None:
        """What becomes of the item of a dead worker: tried once more, then failed."""
        how = worker.cause_of_death()
        self._dismiss(place)
        if worker.source is None:
            return None
        if not worker.ready:
            raise UserError(f"a worker process {how} before it could work; take fewer --workers")
        name = worker.source.id
        self._deaths[name] += 1
        if self._deaths[name] < ATTEMPTS:
            log.warning("%s: its process %s; trying once more", name, how)
            self._queue.appendleft(worker.source)
            return None
        remedy = "leave it out, or encode it again"
        return JobResult(name, cause=f"{name}: its process {how}, {ATTEMPTS} times; {remedy}")

    def _dismiss(self, place: int) -> None:
        self._workers.pop(place).kill()
