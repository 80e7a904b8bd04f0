"""Where the time of long work goes, also of stages that run side by side."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from features.cli.wording import counted

T = TypeVar("T")

UNITS = {"decode": "frame", "find faces": "frame", "cut and follow": "face", "encode": "face"}
"""What the stages of pictures count; those of sound count its seconds."""
LEAST = 0.05
"""Seconds below which no time, and so no rate, is told."""


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
        """One line a stage: amount, seconds, rate; without those that would say nothing."""
        lines = []
        for name, seconds in self.seconds.items():
            amount, took = self.amount.get(name, 0.0), seconds >= LEAST
            parts = [_in_unit(name, amount)] if amount else []
            parts += [f"{seconds:.1f} s"] if took else []
            rate = amount / max(seconds, LEAST)
            told = f" ({rate:.{0 if rate >= 10 else 1}f} a second)" if amount and took else ""
            if parts:
                lines.append(f"{name}: {' in '.join(parts)}{told}")
        return lines


def _in_unit(stage: str, amount: float) -> str:
    """What a stage did: frames, faces, or seconds of sound."""
    unit = UNITS.get(stage)
    return counted(round(amount), unit) if unit else f"{amount:.1f} s of sound"
