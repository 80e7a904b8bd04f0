"""A formula read from text, by recursive descent; nothing is run as code.

formula   and, or, not over comparisons (a < b < c too) and `COLUMN is CLASS`; + - * / and
          abs, min, max, mean over numbers and columns. A name that is no word stands in quotes.
"""

from collections.abc import Callable
from typing import NoReturn

from fusion.events.formulas.formula import (
    NUMBER,
    TRUTH,
    Arithmetic,
    Call,
    Compare,
    FormulaError,
    Is,
    Logic,
    Name,
    Node,
    Not,
    Number,
    kind_of,
)
from fusion.events.formulas.words import Word, words_of

FUNCTIONS = {"abs": 1, "min": None, "max": None, "mean": None}
"""Function to how many numbers it takes; None: one or more."""
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
CLAUSES = ("rising", "falling", "until", "for", "gap", "bridge")
RESERVED = {*CLAUSES, "and", "or", "not", "is", "by", "within"}
DEEPEST = 50
"""Brackets within brackets."""
LONGEST = 300
"""Words."""


def parse_formula(text: str, kind: str | None = None) -> Node:
    """A formula.

    Args:
        text: Its text.
        kind: `NUMBER` or `TRUTH`, if it must be one.

    Raises:
        FormulaError: Where it makes no sense.
    """
    reader = FormulaReader(words_of(text))
    node = reader.formula()
    reader.expect_end()
    if kind == NUMBER and kind_of(node) != NUMBER:
        raise FormulaError("a number was expected, not a condition", node.place)
    return node


class FormulaReader:
    """Words from left to right."""

    def __init__(self, words: list[Word]) -> None:
        self.words, self.at, self.depth = words, 0, 0
        if len(words) > LONGEST:
            raise FormulaError(f"it has more than {LONGEST} words", words[LONGEST].place)

    @property
    def word(self) -> Word:
        """The next one."""
        return self.words[self.at]

    def take(self) -> Word:
        """The next one, which is then behind."""
        self.at += 1
        return self.words[self.at - 1]

    def says(self, *texts: str) -> bool:
        """Whether the next one is a word or sign of these."""
        return self.word.text in texts and not self.word.quoted and self.word.kind != "end"

    def fail(self, wanted: str) -> NoReturn:
        """Complains of the next word."""
        here = f"not '{self.word.text}'" if self.word.kind != "end" else "but it ends"
        raise FormulaError(f"{wanted} was expected, {here}", self.word.place)

    def expect(self, text: str) -> Word:
        """Takes this word or sign."""
        return self.take() if self.says(text) else self.fail(f"'{text}'")

    def expect_end(self) -> None:
        """Complains unless all is read."""
        if self.word.kind != "end":
            self.fail("a comparison, 'and', 'or' or the end")

    def number(self) -> float:
        """Takes a number."""
        return float(self.take().text) if self.word.kind == "number" else self.fail("a number")

    def formula(self) -> Node:
        """Takes a formula, as far as it goes."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormulaError("too many brackets within brackets", self.word.place)
        node = self.logic("or", lambda: self.logic("and", self.negation))
        self.depth -= 1
        return node

    def logic(self, word: str, part: Callable[[], Node]) -> Node:
        """Takes parts that this word joins."""
        first = part()
        parts = [first]
        while self.says(word):
            self.take()
            parts.append(part())
        return first if len(parts) == 1 else Logic(word, tuple(parts), first.place)

    def negation(self) -> Node:
        """Takes `not` and what follows."""
        nots = []
        while self.says("not"):
            nots.append(self.take())
        node = self.comparison()
        return Not(node, nots[0].place) if len(nots) % 2 else node

    def comparison(self) -> Node:
        """Takes a comparison, or a number alone."""
        left = self.sum()
        if self.says("is"):
            return self.is_class(left)
        found: list[Node] = []
        while self.says(*COMPARISONS):
            sign = self.take()
            right = self.sum()
            for side in (left, right):
                _require_number(side)
            found.append(Compare(sign.text, left, right, sign.place))
            left = right
        if not found:
            return left
        return found[0] if len(found) == 1 else Logic("and", tuple(found), found[0].place)

    def is_class(self, left: Node) -> Node:
        """Takes `is CLASS`."""
        place = self.take().place
        if not isinstance(left, Name):
            raise FormulaError("'is' needs a column of classes before it", left.place)
        opposite = self.says("not") and self.take()
        if self.word.kind != "name" or (self.word.text in RESERVED and not self.word.quoted):
            self.fail("a class")
        node = Is(left, self.take().text, place)
        return Not(node, place) if opposite else node

    def sum(self) -> Node:
        """Takes `+` and `-`."""
        node = self.product()
        while self.says("+", "-"):
            node = self.arithmetic(node, self.product)
        return node

    def product(self) -> Node:
        """Takes `*` and `/`."""
        node = self.unary()
        while self.says("*", "/"):
            node = self.arithmetic(node, self.unary)
        return node

    def arithmetic(self, left: Node, part: Callable[[], Node]) -> Node:
        """Takes a sign and what is right of it."""
        sign = self.take()
        right = part()
        for side in (left, right):
            _require_number(side)
        return Arithmetic(sign.text, left, right, sign.place)

    def unary(self) -> Node:
        """Takes signs and what follows."""
        signs = []
        while self.says("-", "+"):
            signs.append(self.take())
        node = self.primary()
        if signs:
            _require_number(node)
        minus = sum(sign.text == "-" for sign in signs) % 2
        return Call("-", (node,), signs[0].place) if minus else node

    def primary(self) -> Node:
        """Takes a number, a column, a call or brackets."""
        word = self.word
        if word.kind == "number":
            return Number(float(self.take().text), word.place)
        if self.says("("):
            self.take()
            node = self.formula()
            self.expect(")")
            return node
        if word.kind != "name" or (word.text in RESERVED and not word.quoted):
            self.fail("a column or a number")
        self.take()
        if self.says("(") and not word.quoted:
            return self.call(word)
        return Name(word.text, word.place)

    def call(self, word: Word) -> Node:
        """Takes what a function is given."""
        if word.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise FormulaError(f"there is no function '{word.text}', only {known}", word.place)
        self.expect("(")
        arguments = [self.formula()]
        while self.says(","):
            self.take()
            arguments.append(self.formula())
        self.expect(")")
        for one in arguments:
            _require_number(one)
        if FUNCTIONS[word.text] not in (None, len(arguments)):
            raise FormulaError(f"{word.text} takes one number", word.place)
        return Call(word.text, tuple(arguments), word.place)


def _require_number(node: Node) -> None:
    if kind_of(node) == TRUTH:
        raise FormulaError("a number was expected, not a condition", node.place)
