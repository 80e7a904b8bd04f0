"""Items one by one: who makes an item, what is done when it fails, and what when memory is short.

Data flow: sources > what they lack > claim > work > tracks, or a cause in `STORE/failures.csv`.
"""

import sys
from collections.abc import Sequence

import torch

from features.claims import Claims
from features.cli import UserError
from features.failures import Failure, Failures, cause_of, is_out_of_memory
from features.pipeline import Extractor
from features.progress import ProgressReport
from features.sources import Source
from features.summary import ExtractSummary
from features.wanted import Todo


class Worker:
    """Makes the items that no other run makes; a bad one never stops the others.

    Args:
        extractor: Does the work on one item.
        claims: Claims of this run in the store.
        summary: Where is counted what was done.
        retry: Whether to try again what failed before, though nothing has changed.
    """

    def __init__(
        self, extractor: Extractor, claims: Claims, summary: ExtractSummary, retry: bool = False
    ) -> None:
        self._extractor, self._claims, self._retry = extractor, claims, retry
        self._failures = Failures(summary.store, claims)
        self._before: dict[str, Failure] = {}
        self.summary = summary

    def todos(self, sources: Sequence[Source]) -> list[Todo]:
        """What is to be done; what is ready, failed before or cannot be read is counted."""
        todos, ready = [], []
        self._before = self._failures.standing()
        for source in sources:
            try:
                todo = self._extractor.plan(source)
            except (UserError, OSError) as error:
                self._fail(source, cause_of(error, source, reading=True))
                continue
            before = self._before.get(source.id)
            if todo.empty:
                ready.append(source.id)
            elif before and not self._retry and before.key == self._extractor.key(source):
                self.summary.failures[source.id] = before.cause
                self.summary.failed_before += 1
            else:
                todos.append(todo)
        self.summary.ready = len(ready)
        self._failures.drop(ready)
        return todos

    def work(self, todos: Sequence[Todo]) -> None:
        """Makes what no other run is making, until there is nothing else left."""
        waiting, tried = [todo.source for todo in todos], 0
        with ProgressReport("extract", len(todos)) as progress:
            while waiting and len(waiting) != tried:
                tried = len(waiting)
                waiting = [source for source in waiting if not self._done(source, progress)]
        self.summary.left = [source.id for source in waiting]

    def _done(self, source: Source, progress: ProgressReport) -> bool:
        """Makes one item; False if another run is at it."""
        if not self._claims.take(source.id):
            return False
        try:
            self._make(source)
        except (UserError, OSError) as error:
            self._fail(source, cause_of(error, source))
        finally:
            self._claims.release(source.id)
        progress.step(source.id)
        return True

    def _make(self, source: Source) -> None:
        """Makes what an item lacks by now: another run may have made it, or failed, meanwhile."""
        if self._extractor.plan(source).empty:
            return
        failed = self._failures.standing().get(source.id)
        if failed and failed != self._before.get(source.id):
            self.summary.failures[source.id] = failed.cause
            return
        self._work(source)
        self.summary.extracted += 1
        self._failures.drop([source.id])

    def _work(self, source: Source) -> None:
        """Works on an item in ever smaller blocks until they fit into memory."""
        while True:
            try:
                return self._extractor.work(self._extractor.plan(source))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if not self._extractor.halve_block():
                    raise UserError(
                        f"{source.id}: out of memory even frame by frame; end what else fills it,"
                        " or use a larger machine"
                    ) from error
            torch.cuda.empty_cache()
            print(f"{source.id}: out of memory; going on with half the frames at once",
                  file=sys.stderr)  # fmt: skip

    def _fail(self, source: Source, cause: str) -> None:
        """Sets a failure down, in the summary and in the store."""
        try:
            key = self._extractor.key(source)
        except (UserError, OSError):  # what cannot be read is tried again by every run
            key = ""
        self.summary.failures[source.id] = cause
        self._failures.add(source, cause, key)
