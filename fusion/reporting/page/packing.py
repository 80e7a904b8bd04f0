"""Numbers as text of a page. Data flow: values > codes > differences > planes > gzip > base64.

A column of values becomes whole numbers of equal steps, so that a page can choose how exact, and so
how large, it is. What is next to each other in time differs little: differences are stored, those
below zero folded between the others (zigzag), and low and high bytes apart, which gzip turns into a
few bits a value. `assets/decode.js` reads it.

Letters: C columns, F rows.
"""

import base64
import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

MISSING = -(2**15)
"""Code of what has no value."""
STEPS = (10_000, 1_000, 250, 128, 64)
"""Steps over a column's range, from short pages to long ones of many people."""
AN_HOUR, LEAST = 5.5e6, 1.5e6
"""Characters that values may take an hour, and that any page may have."""
SAMPLE = 8192
"""Rows from whose differences it is told how large all will be."""


def steps_for(columns: Iterable[tuple[np.ndarray, float, float]], seconds: float) -> int:
    """Steps over the range of every column, as many as a page of so many seconds has room for.

    Args:
        columns: (F,) values with the ends of their range.
        seconds: Length of the clip.
    """
    columns, room = list(columns), max(AN_HOUR * seconds / 3600, LEAST)
    for steps in STEPS:
        if sum(_characters(*one, steps) for one in columns) <= room:
            return steps
    return STEPS[-1]


def _characters(values: np.ndarray, low: float, high: float, steps: int) -> float:
    """About how many a column takes: the entropy of its differences, six bits a character."""
    first = max(0, (len(values) - SAMPLE) // 2)
    codes = Scale.over(low, high, steps).codes(values[first : first + SAMPLE])
    counts = np.unique(np.diff(codes), return_counts=True)[1]
    shares = counts / max(counts.sum(), 1)
    return len(values) * float(-(shares * np.log2(shares)).sum()) / 6


@dataclass(frozen=True)
class Scale:
    """How codes become values: `start + code * step`."""

    start: float
    step: float

    @staticmethod
    def over(low: float, high: float, steps: int) -> "Scale":
        """Equal steps over a range."""
        return Scale(low, (high - low) / steps or 1.0)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """(...) int16 of (...) values; `MISSING` for NaN."""
        codes = np.round((values.astype(np.float64) - self.start) / self.step)
        return np.where(np.isnan(codes), MISSING, np.clip(codes, -32767, 32767)).astype(np.int16)

    def description(self) -> dict[str, float]:
        """For the page."""
        return {"start": self.start, "step": self.step}


@dataclass
class Blocks:
    """The packed numbers of a page.

    Attributes:
        texts: Name of a block to its text.
    """

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, codes: np.ndarray) -> dict[str, object]:
        """Packs (C, F) int16, or (C, F) int32; returns where the page finds them."""
        name = f"b{len(self.texts)}"
        self.texts[name] = packed(codes)
        columns, rows = codes.shape
        return {"block": name, "columns": columns, "rows": rows, "bytes": codes.dtype.itemsize}


def packed(codes: np.ndarray) -> str:
    """(C, F) int16 or int32 as text."""
    bits = 8 * codes.dtype.itemsize - 1
    steps = np.diff(codes, axis=1, prepend=codes.dtype.type(0))  # overflow wraps, there and back
    folded = ((steps << 1) ^ (steps >> bits)).view(f"u{codes.dtype.itemsize}")
    planes = [(folded >> shift & 0xFF).astype(np.uint8) for shift in range(0, bits, 8)]
    data = b"".join(plane.tobytes() for plane in planes)
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
