"""Where the time of long work goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class StageTimes:
    """Seconds spent and things done, by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    amount: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time inside the context to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

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
