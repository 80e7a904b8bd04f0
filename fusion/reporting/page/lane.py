"""One panel of a page and its columns. Data flow: Series > Lane > plain data and packed numbers.

Letters: C columns, F frames.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from fusion.reporting.page.packing import Blocks, Scale
from fusion.reporting.page.pyramid import Way, levels_of
from fusion.tasks.measuring.measures import Column

SAME = 1e-4
"""Difference of values that is none."""
Role = Literal["value", "truth", "said", "spread", "corrected"]


@dataclass(frozen=True)
class Series:
    """A column of a lane.

    Attributes:
        column: What it is.
        values: (F,) float, NaN where there is none.
        role: What it is in the lane.
        of: Number of the value that it belongs to.
        colour: Of its line, or class.
        threshold: On from here; None: it is not on or off.
    """

    column: Column
    values: np.ndarray
    role: Role = "value"
    of: int = 0
    colour: str = ""
    threshold: float | None = None


@dataclass(frozen=True)
class Lane:
    """One panel.

    Attributes:
        key: Tells lanes apart, the same for all people.
        title: Over it.
        kind: How it is drawn.
        series: Its columns.
        classes: Names and colours of classes, if it has any.
    """

    key: str
    title: str
    kind: Literal["lines", "heat", "classes"]
    series: list[Series]
    classes: list[tuple[str, str]] = field(default_factory=list)

    def is_class(self, one: Series) -> bool:
        """Whether the values of a column are numbers of classes."""
        return self.kind == "classes" and one.role != "value"

    def _raw(self, one: Series) -> int:
        """Number of the value that a column belongs to."""
        return next(i for i, other in enumerate(self.series) if other.of == one.of)

    def stored(self) -> list[Series]:
        """Columns of values that a page must hold numbers of."""
        return [
            one
            for one in self.series
            if not self.is_class(one) and _shift(one, self.series[self._raw(one)]) is None
        ]

    def description(self, blocks: Blocks, steps: int) -> dict[str, Any]:
        """For the page, its numbers packed by `steps` over each range."""
        way: Way = "range" if self.kind == "lines" else "mean"
        rows, ways, told = list[np.ndarray](), list[Way](), list[dict[str, Any]]()
        for one in self.series:
            raw = self._raw(one)
            shift = _shift(one, self.series[raw])
            if shift is not None:  # the same numbers, moved: they are not stored twice
                told.append(told[raw] | _said(one) | {"start": told[raw]["start"] + shift})
                continue
            whole = self.is_class(one)
            scale = Scale(0.0, 1.0) if whole else Scale.over(*ends_of(one), steps)
            told.append(_said(one) | {"at": len(rows), "steps": steps} | scale.description())
            rows.append(scale.codes(one.values))
            ways.append("mode" if whole else way)
        said = [{"name": name, "colour": colour} for name, colour in self.classes]
        head = {"key": self.key, "title": self.title, "kind": self.kind, "classes": said}
        return head | {"columns": told, "data": levels_of(np.stack(rows), ways, blocks)}


def _said(one: Series) -> dict[str, Any]:
    """What is told of a column beside its numbers."""
    least, greatest = _found(one.values)
    more = {"role": one.role, "of": one.of, "colour": one.colour, "threshold": one.threshold}
    return asdict(one.column) | more | {"least": least, "greatest": greatest}


def _shift(one: Series, raw: Series) -> float | None:
    """By how much a corrected column lies beside its own, if it does so evenly."""
    if one.role != "corrected" or raw.role != "value":
        return None
    apart = one.values.astype(np.float64) - raw.values
    known = apart[np.isfinite(apart)]
    even = len(known) > 0 and bool(np.ptp(known) < SAME)
    alike = bool((np.isfinite(one.values) == np.isfinite(raw.values)).all())
    return float(np.median(known)) if even and alike else None


def _found(values: np.ndarray) -> tuple[float | None, float | None]:
    """Least and greatest that there is; None for nothing."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (None, None)


def ends_of(one: Series) -> tuple[float, float]:
    """Range of a column: the one that it says, else that of its values."""
    least, greatest = _found(one.values)
    low = one.column.low if one.column.low is not None else least or 0.0
    high = one.column.high if one.column.high is not None else greatest or 0.0
    return (low, high) if high > low else (low, low + 1.0)
