"""Text of a rule > words with their places.

smile: AU12_p > .5 for .3 s      AU12_p | > | .5 | for | .3 | s
"""

import re
from dataclasses import dataclass
from typing import Literal

from fusion.events.formulas.formula import FormulaError

Kind = Literal["number", "name", "sign", "end"]
WORDS = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|[`'\"](?P<quoted>[^`'\"]+)[`'\"]"
    r"|(?P<sign>&&|\|\||<=|>=|==|!=|[-+*/()<>,&|!]))"
)
SAME = {"&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"}
"""Other spellings."""


@dataclass(frozen=True)
class Word:
    """One word.

    Attributes:
        kind: What it is.
        text: As it is spelt; a quoted name without its quotes.
        place: Where it begins, characters from 0.
        quoted: Whether it is a name whatever it says.
    """

    kind: Kind
    text: str
    place: int
    quoted: bool = False


def words_of(text: str) -> list[Word]:
    """All words, the last of kind `end`.

    Raises:
        FormulaError: For a character that has no meaning.
    """
    found, place = [], 0
    length = len(text.rstrip())
    while place < length:
        match = WORDS.match(text, place)
        if match is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise FormulaError(f"'{text[at]}' has no meaning here", at)
        found.append(_word(match))
        place = match.end()
    return [*found, Word("end", "", length)]


def _word(match: re.Match[str]) -> Word:
    kind = str(match.lastgroup)
    text, start = match[kind], match.start(kind)
    if kind == "quoted":
        return Word("name", text, start, quoted=True)
    if text in SAME:
        return Word("name", SAME[text], start)
    return Word("number" if kind == "number" else "name" if kind == "name" else "sign", text, start)
