"""The value of a formula at each frame.

Data flow: Node + columns > (F,) float64: numbers, or 1 and 0 for conditions; NaN where unknown.

Logic is Kleene's: what is false whatever the unknown part is, is false; else it is unknown.

Letters: F frames.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fusion.events.formulas.formula import (
    Arithmetic,
    Call,
    Compare,
    Is,
    Logic,
    Name,
    Node,
    Not,
    Number,
)

ARITHMETIC = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
COMPARISON: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
FUNCTION: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "-": lambda parts: -parts[0],
    "abs": lambda parts: np.abs(parts[0]),
    "min": lambda parts: parts.min(axis=0),
    "max": lambda parts: parts.max(axis=0),
    "mean": lambda parts: parts.mean(axis=0),
}


@dataclass(frozen=True)
class Lookup:
    """Where a formula's names lead.

    Attributes:
        frames: F.
        numbers: The (F,) values of a column.
        is_class: Column and class to (F,) 1, 0 or NaN.
    """

    frames: int
    numbers: Callable[[str], np.ndarray]
    is_class: Callable[[str, str], np.ndarray]


def evaluate(node: Node, lookup: Lookup) -> np.ndarray:
    """(F,) float64; NaN where a value is missing, or divided by 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = _value(node, lookup)
    return np.where(np.isfinite(found), found, np.nan)


def _value(node: Node, lookup: Lookup) -> np.ndarray:
    match node:
        case Number(value):
            return np.full(lookup.frames, value)
        case Name(name):
            return lookup.numbers(name)
        case Is(column, word):
            return lookup.is_class(column.name, word)
        case Call(function, arguments):
            return FUNCTION[function](np.stack([evaluate(one, lookup) for one in arguments]))
        case Arithmetic(sign, left, right):
            found: np.ndarray = ARITHMETIC[sign](evaluate(left, lookup), evaluate(right, lookup))
            return found
        case Compare(sign, left, right):
            return _compared(sign, evaluate(left, lookup), evaluate(right, lookup))
        case Logic(word, parts):
            return _joined(word, np.stack([evaluate(one, lookup) for one in parts]))
        case Not(part):
            return 1 - evaluate(part, lookup)


def _compared(sign: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    unknown = np.isnan(left) | np.isnan(right)
    return np.where(unknown, np.nan, COMPARISON[sign](left, right).astype(np.float64))


def _joined(word: str, parts: np.ndarray) -> np.ndarray:
    """(F,) of (P, F) conditions."""
    settles = 0.0 if word == "and" else 1.0
    unknown = np.isnan(parts).any(axis=0)
    rest = np.where(unknown, np.nan, 1 - settles)
    return np.where((parts == settles).any(axis=0), settles, rest)


def moved(values: np.ndarray, times: np.ndarray, within: float, by: float) -> np.ndarray:
    """(F,) whether a value is at least `by` above its least one of the last `within` seconds.

    NaN where there is no value, or none before it in that time.

    Args:
        values: (F,), NaN where there is none; of what falls, its negative.
        times: (F,) seconds.
        within: Seconds.
        by: How far.
    """
    known = np.flatnonzero(~np.isnan(values))
    result = np.full(len(values), np.nan)
    lowest: list[int] = []  # frames in the window, their values rising: the first is the least
    first = 0
    for at in known:
        while first < len(lowest) and times[lowest[first]] < times[at] - within - 1e-9:
            first += 1
        before = first < len(lowest)
        if before:
            result[at] = float(values[at] - values[lowest[first]] >= by)
        while len(lowest) > first and values[lowest[-1]] >= values[at]:
            lowest.pop()
        lowest.append(int(at))
    return result
