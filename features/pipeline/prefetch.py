"""Runs a stage of a pipeline in a thread of its own, a little ahead of the stage that needs it.

Data flow: items > thread > bounded queue > the same items, in the same order.

Decoders, OpenCV and torch let go of Python's lock while they compute, so stages overlap.
"""

from collections.abc import Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

from features.pipeline.timing import waiting

T = TypeVar("T")

POLL = 0.1
"""Seconds after which a thread that waits for room looks whether it is still wanted."""


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yields the items while a thread already makes the next ones.

    Args:
        items: Iterated over, and closed, in the thread.
        depth: Most items that wait; memory holds two more.

    Raises:
        BaseException: Whatever the iteration raises, at the place where it does.
    """
    stage = _Stage(items, depth)
    try:
        yield from stage
    finally:
        stage.close()


class _Stage(Generic[T]):
    """A thread and its queue of (item, error); the last entry holds no item."""

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._items = items
        self._queue: Queue[tuple[list[T], BaseException | None]] = Queue(depth)
        self._unwanted = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            with waiting():
                item, error = self._queue.get()
            if error is not None:
                raise error
            if not item:
                return
            yield item.pop()

    def close(self) -> None:
        """Ends the thread; it finishes the item that it is making."""
        self._unwanted.set()
        while self._thread.is_alive():
            try:  # items that nobody takes must not keep their memory until the thread ends
                self._queue.get(timeout=POLL / 10)
            except Empty:
                continue

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            for item in self._items:
                if not self._put([item], None):
                    break
        except BaseException as error:
            end = error  # raised where the items are taken
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
        self._put([], end)

    def _put(self, item: list[T], error: BaseException | None) -> bool:
        """Hands something over; False if nobody wants it any more."""
        while not self._unwanted.is_set():
            try:
                self._queue.put((item, error), timeout=POLL)
            except Full:
                continue
            return True
        return False
