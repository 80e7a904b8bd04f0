"""Tables of the leaderboard files: header and columns of each challenge.

A challenge is a header and the tasks whose columns follow the picture; a new one is a new entry.
"""

from dataclasses import dataclass

from features.cli import UserError
from fusion.abaw.labels import DIMENSIONS, EXPRESSIONS, UNITS


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
    """

    name: str
    header: str
    tasks: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns after the picture."""
        return tuple(column for task in self.tasks for column in TASK_COLUMNS[task])


TASK_COLUMNS = {
    "VA": tuple(Column(name, -1, 1, whole=False) for name in DIMENSIONS),
    "EXPR": (Column("expression", 0, len(EXPRESSIONS) - 1, whole=True),),
    "AU": tuple(Column(name, 0, 1, whole=True) for name in UNITS),
}

CHALLENGES = {
    challenge.name: challenge
    for challenge in (
        Challenge("VA", ",".join(("image_location", *DIMENSIONS)), ("VA",)),
        Challenge("EXPR", ",".join(("image_location", *EXPRESSIONS)), ("EXPR",)),
        Challenge("AU", ",".join(("image_location", *UNITS)), ("AU",)),
        Challenge("MTL", "image,valence,arousal,expression,aus", ("VA", "EXPR", "AU")),
    )
}
"""Editions 3 and later, by name."""


def challenge_of(name: str) -> Challenge:
    """The challenge of a name; raises UserError for another, listing the known ones."""
    if name not in CHALLENGES:
        raise UserError(f"unknown challenge '{name}'; the known ones are {', '.join(CHALLENGES)}")
    return CHALLENGES[name]
