"""Tables of the leaderboard files: header and columns of each challenge, by edition.

A challenge is a header and the columns of its rows; a new one is a new entry.
"""

from dataclasses import dataclass

import numpy as np

from features.errors import UserError
from fusion.tasks.au import UNITS
from fusion.tasks.compound import BASIC, COMPOUNDS, compound_of
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.scoring.interface import EDITIONS, LATEST
from fusion.tasks.va import DIMENSIONS

TASKS = ("VA", "EXPR", "AU")
"""Of the multi-task challenge, in the order of their columns."""


@dataclass(frozen=True)
class Column:
    """One column of the rows.

    Attributes:
        name: For messages, e.g. `valence`.
        low, high: Range of its values, both included.
        whole: Whether only whole numbers, written without a point, are legal.
    """

    name: str
    low: int
    high: int
    whole: bool


@dataclass(frozen=True)
class Challenge:
    """What one leaderboard file looks like.

    Attributes:
        name: Name in settings, e.g. `VA`.
        header: First line, to the letter. It need not have a name for each column.
        tasks: Tasks in the order of their columns.
        expressions: Number of classes of EXPR: 8; 7, without 'Other', in edition 2.
        per_video: Edition 2: one file for each id, whose rows do not name their pictures.
    """

    name: str
    header: str
    tasks: tuple[str, ...]
    expressions: int = len(EXPRESSIONS)
    per_video: bool = False

    def columns_of(self, task: str) -> tuple[Column, ...]:
        """Columns of one of the tasks."""
        if task == "EXPR":
            return (Column("expression", 0, self.expressions - 1, whole=True),)
        return _COLUMNS[task]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns after the picture."""
        return tuple(column for task in self.tasks for column in self.columns_of(task))


_COLUMNS = {
    "VA": tuple(Column(name, -1, 1, whole=False) for name in DIMENSIONS),
    "AU": tuple(Column(name, 0, 1, whole=True) for name in UNITS),
    "CE": (Column("compound", 0, len(COMPOUNDS) - 1, whole=True),),
}

CHALLENGES = {
    challenge.name: challenge
    for challenge in (
        Challenge("VA", ",".join(("image_location", *DIMENSIONS)), ("VA",)),
        Challenge("EXPR", ",".join(("image_location", *EXPRESSIONS)), ("EXPR",)),
        Challenge("AU", ",".join(("image_location", *UNITS)), ("AU",)),
        Challenge("MTL", "image,valence,arousal,expression,aus", ("VA", "EXPR", "AU")),
        Challenge("CE", ",".join(("image_location", *COMPOUNDS)), ("CE",)),
    )
}
"""Editions 3 and later, by name."""
DEFAULT_CHALLENGE = "VA"
"""Where none is named."""

EDITION_2 = {
    challenge.name: challenge
    for challenge in (
        Challenge("VA", ",".join(DIMENSIONS), ("VA",), per_video=True),
        Challenge("EXPR", ",".join(EXPRESSIONS[:7]), ("EXPR",), expressions=7, per_video=True),
        Challenge("AU", ",".join(UNITS), ("AU",), per_video=True),
    )
}
"""Edition 2, whose files look like its annotations."""


def challenge_of(name: str, edition: int = LATEST) -> Challenge:
    """The challenge of a name; raises UserError for another or an unknown edition."""
    if edition not in EDITIONS:
        raise UserError(f"unknown edition {edition}; known are {EDITIONS[0]} to {LATEST}")
    known = EDITION_2 if edition == 2 else CHALLENGES
    if name not in known:
        where = " of edition 2" if edition == 2 else ""
        raise UserError(f"unknown challenge '{name}'{where}; the known ones are {', '.join(known)}")
    return known[name]


def compound_classes(expr: np.ndarray, compound: np.ndarray | None = None) -> np.ndarray:
    """Most probable compound expression.

    The score of a compound is the sum of the probabilities of its two (Liu et al., ABAW 7), so
    Neutral, Happiness alone or Other cannot win by themselves.

    Args:
        expr: (F, 8) probabilities of `EXPRESSIONS`.
        compound: (F, 6) probabilities of `BASIC_EXPRESSIONS`, each by itself, of a model that has
            learnt compounds; without them the decision is zero-shot, from `expr`.

    Returns:
        (F,) int64, index into `COMPOUNDS`.
    """
    return compound_of(expr[:, BASIC] if compound is None else compound)
