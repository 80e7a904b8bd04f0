"""A rule seen against the columns of a table: names found, impossible rules refused, values read.

Data flow: Rule + FrameTable > (F,) condition, end and value.

Letters: F frames.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.errors import UserError
from fusion.events.formulas.evaluating import Lookup, evaluate, moved
from fusion.events.formulas.formula import Compare, Is, Logic, Name, Node, Not, names_in, parts_of
from fusion.events.formulas.ranges import OPEN, Range, range_of
from fusion.events.rules import OwnMeasure, Rule
from fusion.tables.frame_table import ON_OR_OFF, FrameTable
from fusion.tables.weighting import weighted_quantiles
from fusion.tasks.measuring.measures import Column

RISE = 0.3
"""Share of a column's range that it rises at least, unless a rule says by how much."""


class MissingColumn(UserError):
    """A rule reads a column that a table has not."""


@dataclass(frozen=True)
class Readings:
    """A rule at each frame; (F,) float64 each.

    Attributes:
        holds: Whether the condition holds: 1, 0, or NaN where unknown.
        ends: Whether `until` holds; None: the rule has none.
        value: What peak and mean are of.
        upward: Whether the peak is the greatest value.
    """

    holds: np.ndarray
    ends: np.ndarray | None
    value: np.ndarray
    upward: bool


def read(rule: Rule, table: FrameTable) -> Readings:
    """A rule at each frame of a table.

    Raises:
        MissingColumn: If a column is not there; says the nearest.
        UserError: If the rule can never be true, always is, or never ends.
    """
    bound = _Bound(table, rule.baseline, f"event '{rule.name}'")
    clauses = rule.clauses
    if clauses.direction:
        holds = bound.moving(rule)
    else:
        bound.require_sense(rule.condition, "is true")
        holds = bound.values(rule.condition)
    ends = None
    if clauses.until is not None:
        bound.require_sense(clauses.until, "ends")
        ends = bound.values(clauses.until)
    measured, upward = measured_of(rule.condition)
    if clauses.direction == "falling":
        upward = False
    if isinstance(measured, Is):
        measured = Name(measured.word, 0) if measured.word in table.values else measured
    value = bound.values(rule.value or measured)
    return Readings(holds, ends, value, upward)


def measured_of(node: Node) -> tuple[Node, bool]:
    """What a condition compares first, and whether it asks for high values of it."""
    match node:
        case Not(part):
            measured, upward = measured_of(part)
            return measured, not upward
        case Logic(_, parts):
            return measured_of(parts[0])
        case Compare(sign, left, right):
            if next(names_in(left), None) is None:
                return right, sign not in (">", ">=")
            return left, sign not in ("<", "<=")
    return node, True


def with_measures(table: FrameTable, measures: Sequence[OwnMeasure]) -> FrameTable:
    """A table with the own measures whose columns it has, one after the other.

    Raises:
        UserError: If one has the name of a column that is there.
    """
    for one in measures:
        if one.name in table.values or one.name in table.classes:
            raise UserError(f"measure '{one.name}': there is a column of this name; rename it")
        bound = _Bound(table, False, f"measure '{one.name}'")
        try:
            low, high = bound.range(one.formula)
        except MissingColumn:
            continue
        low_end, high_end = (end if math.isfinite(end) else None for end in (low, high))
        meaning = one.meaning or one.text
        column = Column(one.name, meaning, one.unit, low_end, high_end, origin="derived")
        sound = {resolved(name.name, table) for name in names_in(one.formula)} <= table.heard
        table = table.plus(column, bound.values(one.formula), heard=sound)
    return table


def resolved(name: str, table: FrameTable) -> str | None:
    """The column that a name means: itself, or its probability `NAME_p`, or for `NAME_p` NAME."""
    for column in (name, f"{name}_p"):
        if column in table.values:
            return column
    bare = name.removesuffix("_p")
    about = table.about.get(bare)
    return bare if about and bare != name and (about.low, about.high) == (0, 1) else None


@dataclass(frozen=True)
class _Bound:
    """The columns of a table for the formulas of one rule or measure."""

    table: FrameTable
    baseline: bool
    where: str

    def values(self, node: Node) -> np.ndarray:
        return evaluate(node, Lookup(len(self.table), self._numbers, self._is_class))

    def range(self, node: Node) -> Range:
        for each in _classes_in(node):
            self._is_class(each.column.name, each.word)
        return range_of(node, self._range)

    def require_sense(self, node: Node, when: str) -> None:
        """UserError for a condition that never or always holds, or is none."""
        self._require_condition(node)
        low, high = self.range(node)
        shown = ", ".join(
            f"{name} lies in [{bounds[0]:g}, {bounds[1]:g}]"
            for name in dict.fromkeys(one.name for one in names_in(node))
            if name not in self.table.classes and (bounds := self._range(name)) != OPEN
        )
        if high == 0:
            raise UserError(f"{self.where}: it never {when}; {shown or 'it contradicts itself'}")
        if low == 1:
            raise UserError(f"{self.where}: it always {when}; {shown or 'it asks for nothing'}")

    def moving(self, rule: Rule) -> np.ndarray:
        """(F,) whether all columns of a rule rise, or fall, in the time."""
        node, clauses = rule.condition, rule.clauses
        parts = node.parts if isinstance(node, Logic) and node.word == "and" else (node,)
        sign = 1.0 if clauses.direction == "rising" else -1.0
        found = []
        for part in parts:
            if isinstance(part, Compare | Is | Not | Logic):
                raise UserError(
                    f"{self.where}: '{clauses.direction}' is said of columns joined by &, not of"
                    " conditions"
                )
            by = self._rise(part) if clauses.by is None else clauses.by
            low, high = self.range(part)
            if by <= 0 or by > high - low:
                raise UserError(
                    f"{self.where}: it never is true; it cannot move by {by:g} in"
                    f" [{low:g}, {high:g}]"
                )
            found.append(moved(sign * self.values(part), self.table.times, clauses.within, by))
        stacked = np.stack(found)
        return np.where(np.isnan(stacked).any(axis=0), np.nan, stacked.min(axis=0))

    def _rise(self, node: Node) -> float:
        low, high = self.range(node)
        if not math.isfinite(high - low):
            raise UserError(
                f"{self.where}: say how far, as in 'rising by 5 within .2 s'; the range is open"
            )
        return RISE * (high - low)

    def _require_condition(self, node: Node) -> None:
        if isinstance(node, Logic | Not):
            for part in parts_of(node):
                self._require_condition(part)
        elif not isinstance(node, Compare | Is):
            name = self._column(node.name) if isinstance(node, Name) else None
            if name is None or self.table.about[name].unit != ON_OR_OFF:
                what = node.name if isinstance(node, Name) else "a number"
                raise UserError(f"{self.where}: {what} is no condition; compare it, as in > .5")

    def _column(self, name: str) -> str:
        found = resolved(name, self.table)
        if found is None:
            near = difflib.get_close_matches(name, self.table.values, n=1, cutoff=0.0)
            hint = f"; did you mean '{near[0]}'?" if near else "; there are none at all"
            raise MissingColumn(f"{self.where}: there is no column '{name}'{hint}")
        return found

    def _numbers(self, name: str) -> np.ndarray:
        column = self._column(name)
        if self.baseline and f"{column}_bc" in self.table.values:
            column = f"{column}_bc"
            return self.table.values[column].astype(np.float64)
        values = self.table.values[column].astype(np.float64)
        if not self.baseline:
            return values
        return values - weighted_quantiles(values, self.table.durations, np.array([0.5]))[0]

    def _range(self, name: str) -> Range:
        column = self._column(name)
        corrected = self.baseline and f"{column}_bc" in self.table.values
        about = self.table.about[f"{column}_bc" if corrected else column]
        low = -math.inf if about.low is None else about.low
        high = math.inf if about.high is None else about.high
        if self.baseline and not corrected:
            return low - high, high - low
        return low, high

    def _is_class(self, name: str, word: str) -> np.ndarray:
        classes = self.table.classes.get(name)
        if classes is None:
            known = ", ".join(self.table.classes) or "none"
            raise MissingColumn(f"{self.where}: there are no classes '{name}'; there are {known}")
        if word not in classes.names:
            near = difflib.get_close_matches(word, classes.names, n=1, cutoff=0.0)[0]
            raise UserError(f"{self.where}: '{name}' is never '{word}'; did you mean '{near}'?")
        unknown = classes.codes < 0
        return np.where(unknown, np.nan, classes.codes == classes.names.index(word))


def _classes_in(node: Node) -> list[Is]:
    below = [found for part in parts_of(node) for found in _classes_in(part)]
    return [node] if isinstance(node, Is) else below
