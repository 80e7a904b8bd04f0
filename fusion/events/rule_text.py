"""A rule in one line: a formula and what is said of its time.

rule    formula clause*
clause  (rising | falling) [by N] within TIME | until formula | for TIME | gap TIME | bridge TIME
TIME    N s | N ms | N min
"""

from dataclasses import dataclass

from fusion.events.formulas.formula import FormulaError, Node
from fusion.events.formulas.parsing import CLAUSES, FormulaReader
from fusion.events.formulas.words import words_of

SECONDS_IN = {"s": 1.0, "ms": 1e-3, "min": 60.0}


@dataclass
class Clauses:
    """What a rule says after its formula.

    Attributes:
        direction: `rising` or `falling`; None: the formula is a condition.
        by: How far each column must rise or fall; None: not said.
        within: Seconds in which it must.
        until: When the event ends; None: when the condition no longer holds.
        shortest: `for`: seconds that an event must last.
        gap: Events that are less apart are one.
        bridge: Seconds without a value that do not end an event; None: not said.
    """

    direction: str | None = None
    by: float | None = None
    within: float = 0.0
    until: Node | None = None
    shortest: float = 0.0
    gap: float = 0.0
    bridge: float | None = None


def parse_rule(text: str) -> tuple[Node, Clauses]:
    """A formula and the clauses after it.

    Raises:
        FormulaError: Where it makes no sense.
    """
    reader = _RuleReader(words_of(text))
    node, clauses, said = reader.formula(), Clauses(), set[str]()
    while reader.says(*CLAUSES):
        word = reader.take()
        key = "rising" if word.text == "falling" else word.text
        if key in said:
            raise FormulaError(f"'{word.text}' is said twice", word.place)
        said.add(key)
        reader.clause(word.text, clauses)
    reader.expect_end()
    return node, clauses


class _RuleReader(FormulaReader):
    """Adds the clauses."""

    def seconds(self) -> float:
        """Takes a time."""
        number = self.number()
        if not self.says(*SECONDS_IN):
            self.fail("s, ms or min")
        return number * SECONDS_IN[self.take().text]

    def clause(self, name: str, into: Clauses) -> None:
        """Takes what follows the word of a clause."""
        if name in ("rising", "falling"):
            into.direction = name
            if self.says("by"):
                self.take()
                into.by = self.number()
            self.expect("within")
            into.within = self.seconds()
        elif name == "until":
            into.until = self.formula()
        elif name == "for":
            into.shortest = self.seconds()
        elif name == "gap":
            into.gap = self.seconds()
        else:
            into.bridge = self.seconds()
