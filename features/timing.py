"""Where the time of long work goes, also of stages that run side by side."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


class _Waited(threading.local):
    """Seconds that a thread has waited for others."""

    seconds = 0.0


_waited = _Waited()


@contextmanager
def waiting() -> Iterator[None]:
    """Marks time in which this thread waits for another one; no stage counts it."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _waited.seconds += time.perf_counter() - began


@dataclass
class StageTimes:
    """Seconds spent and things done, by stage; each stage belongs to one thread at a time."""

    seconds: dict[str, float] = field(default_factory=dict)
    amount: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time inside the context to a stage, less the time spent `waiting`."""
        began, waited = time.perf_counter(), _waited.seconds
        try:
            yield
        finally:
            spent = time.perf_counter() - began - (_waited.seconds - waited)
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def timed(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yields the items; making them counts as a stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                item = list(islice(iterator, 1))
            if not item:
                return
            yield item.pop()

    def add(self, name: str, amount: float) -> None:
        """Counts frames (or seconds of sound) of a stage."""
        self.amount[name] = self.amount.get(name, 0.0) + amount

    def merge(self, other: "StageTimes") -> None:
        """Adds what another has measured."""
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        for name, amount in other.amount.items():
            self.add(name, amount)

    def lines(self) -> list[str]:
        """One line a stage: amount, seconds, rate."""
        return [
            f"{name}: {self.amount.get(name, 0):.0f} in {seconds:.1f} s"
            f" ({self.amount.get(name, 0) / max(seconds, 1e-9):.0f} a second)"
            for name, seconds in self.seconds.items()
        ]
