"""Who makes which item: plans, claims, hands out, and writes down what came of it.

Data flow: sources > what they lack > claim > executor > JobResult > counts, or a cause in
`STORE/failures.csv`.

Claims stay with this process, one for each item that a worker is at.
"""

import logging
import time
from collections.abc import Sequence

from features.cli.progress import ProgressReport
from features.errors import UserError
from features.execution.executors import Executor
from features.execution.job import JobResult
from features.execution.sharding import extent_of
from features.pipeline.discovery import Source
from features.pipeline.failures import Failure, Failures, cause_of, is_the_runs
from features.pipeline.planner import Plan, Planner
from features.pipeline.summary import ExtractSummary
from features.store.claims import Claims
from features.store.leases import POLL, STALE

log = logging.getLogger(__name__)


class Scheduler:
    """Has the items made that no other run makes; a bad one never stops the others.

    Args:
        planner: Tells what items lack.
        claims: Claims of this run in the store.
        summary: Where is counted what was done.
        retry: Whether to try again what failed before, though nothing has changed.
    """

    def __init__(
        self, planner: Planner, claims: Claims, summary: ExtractSummary, retry: bool = False
    ) -> None:
        self._planner, self._claims, self._retry = planner, claims, retry
        self._failures = Failures(summary.store, claims)
        self._before: dict[str, Failure] = {}
        self._taken: dict[str, Source] = {}
        self._watching = False
        self.summary = summary

    def plans(self, sources: Sequence[Source]) -> list[Plan]:
        """What is to be done; what is ready, failed before or cannot be read is counted."""
        plans, ready = [], []
        self._before = self._failures.standing()
        for source in sources:
            try:
                plan = self._planner.plan(source)
            except (UserError, OSError) as error:
                self._fail(source, _cause_of_reading(error, source))
                continue
            before = self._before.get(source.id)
            if plan.empty:
                ready.append(source.id)
            elif before and not self._retry and before.key == self._planner.key(source):
                self.summary.failures[source.id] = before.cause
                self.summary.failed_before += 1
            else:
                plans.append(plan)
        self.summary.ready = len(ready)
        self._failures.drop(ready)
        return plans

    def work(self, plans: Sequence[Plan], executor: Executor) -> None:
        """Has made what no other run is making, until there is nothing else left.

        The costliest come first, so that no worker is left alone with one at the end.

        Raises:
            OSError: If the store can no longer be written to; finished work is kept.
        """
        costs = {plan.source.id: extent_of(plan.source).cost for plan in plans}
        waiting = sorted((t.source for t in plans), key=lambda s: (-costs[s.id], s.id))
        with ProgressReport("extract", len(plans), sum(costs.values())) as progress:
            while waiting or self._taken:
                waiting = [one for one in waiting if not self._handed_out(one, executor, progress)]
                if not self._taken:
                    if not any(self._claims.in_doubt(one.id) for one in waiting):
                        break
                    self._watch(len(waiting))
                for result in executor.wait():
                    self._take_in(result)
                    progress.step(result.id, costs[result.id])
        self.summary.left = [source.id for source in waiting]

    def _handed_out(self, source: Source, executor: Executor, progress: ProgressReport) -> bool:
        """Gives an item to the executor; False if there is no place, or another run is at it.

        What failed in another run meanwhile is not tried again.
        """
        if executor.free <= 0 or not self._claims.take(source.id):
            return False
        failed = self._failures.standing().get(source.id)
        if failed and failed != self._before.get(source.id):
            self.summary.failures[source.id] = failed.cause
            self._claims.release(source.id)
            progress.step(source.id)
            return True
        self._taken[source.id] = source
        executor.submit(source)
        return True

    def _watch(self, items: int) -> None:
        """Waits a moment for a sign of life of those who claim what is left, and says so once."""
        if not self._watching:
            log.warning("left to do: %d, claimed by a run that may be dead; watching whether it is,"
                        " %g s at most", items, STALE)  # fmt: skip
            self._watching = True
        time.sleep(POLL)

    def _take_in(self, result: JobResult) -> None:
        """Writes down what came of an item and gives its claim back."""
        source = self._taken.pop(result.id)
        self.summary.times.merge(result.times)
        if result.fault:
            raise result.fault
        if result.halved:
            part = 2**result.halved
            log.warning("%s: out of memory; took 1/%d of the frames at once", source.id, part)
        if result.notices:
            self.summary.notices[source.id] = result.notices
        if result.cause:
            if result.trace:
                log.error("%s", result.trace.rstrip())
            self._fail(source, result.cause)
        elif result.made:
            self.summary.extracted += 1
            self._failures.drop([source.id])
        self._claims.release(source.id)

    def _fail(self, source: Source, cause: str) -> None:
        """Sets a failure down, in the summary and in the store."""
        try:
            key = self._planner.key(source)
        except (UserError, OSError):  # what cannot be read is tried again by every run
            key = ""
        self.summary.failures[source.id] = cause
        self._failures.add(source, cause, key)


def _cause_of_reading(error: UserError | OSError, source: Source) -> str:
    """The cause of an error in planning, where an error that names no file is the source's."""
    if isinstance(error, OSError) and error.filename is not None and is_the_runs(error, source):
        raise error
    return cause_of(error, source)
