"""What a formula can be at all, from the ranges of its columns: finds rules that can never be true.

Data flow: Node + range of each column > (least, greatest); of a condition 0 and 1 for no and yes.

Interval arithmetic: bounds are never too narrow, so what is called impossible is. Contradictions
of one column with itself (`a > .5 and a < .3`) are found too.
"""

import itertools
import math
from collections.abc import Callable

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

Range = tuple[float, float]
OPEN: Range = (-math.inf, math.inf)
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


def range_of(node: Node, of_column: Callable[[str], Range]) -> Range:
    """Bounds of a formula; `of_column` gives those of a column."""
    match node:
        case Number(value):
            return value, value
        case Name(name):
            return of_column(name)
        case Is():
            return 0.0, 1.0
        case Call(function, arguments):
            return _called(function, [range_of(one, of_column) for one in arguments])
        case Arithmetic(sign, left, right):
            return _arithmetic(sign, range_of(left, of_column), range_of(right, of_column))
        case Compare(sign, left, right):
            return _compared(sign, range_of(left, of_column), range_of(right, of_column))
        case Not(part):
            low, high = range_of(part, of_column)
            return 1 - high, 1 - low
        case Logic(word, parts):
            bounds = [range_of(one, of_column) for one in parts]
            choose = min if word == "and" else max
            if word == "and" and _contradicts(parts, of_column):
                return 0.0, 0.0
            return choose(low for low, _ in bounds), choose(high for _, high in bounds)


def _called(function: str, bounds: list[Range]) -> Range:
    lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
    if function == "-":
        return -highs[0], -lows[0]
    if function == "abs":
        low, high = bounds[0]
        return max(low, -high, 0.0), max(abs(low), abs(high))
    if function == "mean":
        return math.fsum(lows) / len(lows), math.fsum(highs) / len(highs)
    choose = min if function == "min" else max
    return choose(lows), choose(highs)


def _arithmetic(sign: str, left: Range, right: Range) -> Range:
    if sign == "+":
        return left[0] + right[0], left[1] + right[1]
    if sign == "-":
        return left[0] - right[1], left[1] - right[0]
    if not all(map(math.isfinite, (*left, *right))) or (sign == "/" and right[0] <= 0 <= right[1]):
        return OPEN
    ends = [a * b if sign == "*" else a / b for a, b in itertools.product(left, right)]
    return min(ends), max(ends)


def _compared(sign: str, left: Range, right: Range) -> Range:
    if sign in ("<", "<="):
        return _compared(MIRRORED[sign], right, left)
    if sign == ">":
        return float(left[0] > right[1]), float(left[1] > right[0])
    if sign == ">=":
        return float(left[0] >= right[1]), float(left[1] >= right[0])
    same = left[0] == left[1] == right[0] == right[1]
    apart = left[1] < right[0] or right[1] < left[0]
    return (float(apart), float(not same)) if sign == "!=" else (float(same), float(not apart))


def _contradicts(parts: tuple[Node, ...], of_column: Callable[[str], Range]) -> bool:
    """Whether what is asked of one column leaves it no value."""
    held: dict[str, tuple[float, bool, float, bool]] = {}
    for part in _conjuncts(parts):
        asked = _asked(part)
        if asked is None:
            continue
        name, sign, value = asked
        low, low_open, high, high_open = held.get(name, (-math.inf, False, math.inf, False))
        if sign in (">", ">=", "==") and (value, sign == ">") >= (low, low_open):
            low, low_open = value, sign == ">"
        if sign in ("<", "<=", "==") and (value, sign != "<") <= (high, not high_open):
            high, high_open = value, sign == "<"
        held[name] = low, low_open, high, high_open
    return any(
        low > high or (low == high and (low_open or high_open))
        for low, low_open, high, high_open in held.values()
    )


def _conjuncts(parts: tuple[Node, ...]) -> list[Node]:
    found: list[Node] = []
    for part in parts:
        found += (
            _conjuncts(part.parts) if isinstance(part, Logic) and part.word == "and" else [part]
        )
    return found


def _asked(node: Node) -> tuple[str, str, float] | None:
    """Column, sign and constant of a plain comparison."""
    if not isinstance(node, Compare) or node.sign not in MIRRORED:
        return None
    left, right, sign = node.left, node.right, node.sign
    if isinstance(left, Number):
        left, right, sign = right, left, MIRRORED[sign]
    constant = _constant(right)
    return (left.name, sign, constant) if isinstance(left, Name) and constant is not None else None


def _constant(node: Node) -> float | None:
    match node:
        case Number(value):
            return value
        case Call("-", (Number(value),)):
            return -value
    return None
