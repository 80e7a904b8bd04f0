"""What a formula is made of: the nodes that `parsing` makes, `evaluating` and `ranges` read.

(AU6_p + AU12_p) / 2 > .5 and not speech > .5        Compare, Arithmetic, Logic, Not
expression is Happiness                              Is
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

NUMBER, TRUTH = "number", "condition"


class FormulaError(ValueError):
    """A formula that makes no sense.

    Args:
        message: What is wrong.
        place: Where, characters from 0.
    """

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.message, self.place = message, place

    def shown(self, text: str) -> str:
        """The complaint with the place in the text."""
        before, after = text[: self.place], text[self.place :]
        return f"{self.message}, at character {self.place + 1}: {before}»{after}"


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float
    place: int


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str
    place: int


@dataclass(frozen=True)
class Is:
    """Whether the class of a frame is this one."""

    column: Name
    word: str
    place: int


@dataclass(frozen=True)
class Call:
    """`abs`, `min`, `max` or `mean` of numbers; `-` of one."""

    function: str
    arguments: tuple["Node", ...]
    place: int


@dataclass(frozen=True)
class Arithmetic:
    """`+ - * /` of two numbers."""

    sign: str
    left: "Node"
    right: "Node"
    place: int


@dataclass(frozen=True)
class Compare:
    """`< <= > >= == !=` of two numbers."""

    sign: str
    left: "Node"
    right: "Node"
    place: int


@dataclass(frozen=True)
class Logic:
    """`and`, `or` of conditions."""

    word: str
    parts: tuple["Node", ...]
    place: int


@dataclass(frozen=True)
class Not:
    """The opposite."""

    part: "Node"
    place: int


Node = Union[Number, Name, Is, Call, Arithmetic, Compare, Logic, Not]  # noqa: UP007


def parts_of(node: Node) -> tuple[Node, ...]:
    """The nodes right below."""
    match node:
        case Call(_, arguments):
            return arguments
        case Arithmetic(_, left, right) | Compare(_, left, right):
            return left, right
        case Logic(_, parts):
            return parts
        case Not(part):
            return (part,)
        case Is(column):
            return (column,)
    return ()


def names_in(node: Node) -> Iterator[Name]:
    """Columns that a formula reads, in order, with repetitions."""
    if isinstance(node, Name):
        yield node
    for part in parts_of(node):
        yield from names_in(part)


def kind_of(node: Node) -> str:
    """`NUMBER` or `TRUTH`, as far as the formula itself tells; a bare name is a number."""
    return TRUTH if isinstance(node, Is | Compare | Logic | Not) else NUMBER
