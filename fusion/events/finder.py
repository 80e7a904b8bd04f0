"""Stretches of time in which a condition holds.

Data flow: condition at each frame > enter, leave, hold or unknown > spans > merged > long enough.

Times are those of the frames themselves; a frame lasts until the next one, so rates may vary
(`fusion.tables.weighting`). What is unknown (no face, excluded, a pause of the clock) ends an event
when it lasts longer than `bridge`; no event ever spans more of it at once.

Letters: F frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

ENTER, HOLD, LEAVE, UNKNOWN = 1, 0, -1, -2
TINY = 1e-9
"""Seconds by which sums of times may be off."""


@dataclass(frozen=True)
class Timing:
    """What is asked of the time of an event, in seconds.

    Attributes:
        shortest: An event lasts at least so long.
        gap: Events that are less apart are one, if it is known what was between them.
        bridge: What is unknown for longer ends an event.
    """

    shortest: float = 0.0
    gap: float = 0.0
    bridge: float = 0.2


Span = tuple[int, int]
"""First frame, and the frame after the last."""


def find(
    holds: np.ndarray,
    ends: np.ndarray | None,
    times: np.ndarray,
    durations: np.ndarray,
    timing: Timing,
) -> list[Span]:
    """Spans in their order.

    Args:
        holds: (F,) 1, 0 or NaN.
        ends: (F,) likewise, whether an event that has begun ends; None: as soon as it does not
            hold. What begins and ends at once ends.
        times: (F,) seconds.
        durations: (F,) seconds.
        timing: As above.
    """
    clock = _Clock(times, times + durations)
    spans = _merged(list(_spans(_codes(holds, ends), clock, timing.bridge)), holds, clock, timing)
    return [
        (first, stop)
        for first, stop in spans
        if clock.ends[stop - 1] - times[first] >= timing.shortest - TINY
    ]


@dataclass(frozen=True)
class _Clock:
    starts: np.ndarray
    ends: np.ndarray

    def between(self, stop: int, first: int) -> float:
        """Seconds from the end of the frame before `stop` to the start of `first`."""
        return float(self.starts[first] - self.ends[stop - 1])


def _codes(holds: np.ndarray, ends: np.ndarray | None) -> np.ndarray:
    """(F,) what a frame says."""
    if ends is None:
        return np.where(np.isnan(holds), UNKNOWN, np.where(holds == 1, ENTER, LEAVE))
    said = np.where(holds == 1, ENTER, HOLD)
    said = np.where(np.isnan(holds) | np.isnan(ends), UNKNOWN, said)
    return np.where(ends == 1, LEAVE, said)


def _spans(codes: np.ndarray, clock: _Clock, bridge: float) -> Iterator[Span]:
    first, stop = -1, -1  # of the span that is open
    for code, start, end in _runs(codes, clock, bridge):
        if code == UNKNOWN:
            continue
        lost = first >= 0 and clock.between(stop, start) > bridge + TINY
        if first >= 0 and (lost or code == LEAVE):
            yield first, stop
            first = -1
        if code == ENTER or (code == HOLD and first >= 0):
            first, stop = (start if first < 0 else first), end
    if first >= 0:
        yield first, stop


def _runs(codes: np.ndarray, clock: _Clock, bridge: float) -> Iterator[tuple[int, int, int]]:
    """Frames of one code without a pause between them: the code, first, and after the last."""
    breaks = np.flatnonzero(
        (np.diff(codes) != 0) | (clock.starts[1:] - clock.ends[:-1] > bridge + TINY)
    )
    edges = [0, *(breaks + 1).tolist(), len(codes)] if len(codes) else [0]
    for start, end in pairwise(edges):
        yield int(codes[start]), start, end


def _merged(spans: list[Span], holds: np.ndarray, clock: _Clock, timing: Timing) -> list[Span]:
    known, found = ~np.isnan(holds), list[Span]()
    for first, stop in spans:
        if found:
            begun, before = found[-1]
            apart = clock.between(before, first)
            if apart < timing.gap - TINY and _unknown(before, first, known, clock) <= (
                timing.bridge + TINY
            ):
                found[-1] = begun, stop
                continue
        found.append((first, stop))
    return found


def _unknown(stop: int, first: int, known: np.ndarray, clock: _Clock) -> float:
    """Longest time without a value between two spans."""
    frames = [stop - 1, *(np.flatnonzero(known[stop:first]) + stop).tolist(), first]
    return max(clock.between(a + 1, b) for a, b in pairwise(frames))
