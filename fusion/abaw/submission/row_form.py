"""The form of a leaderboard file's rows: all of them judged at once, faulty ones explained.

Letters: N lines.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.cli.wording import counted
from fusion.abaw.challenges import Challenge

_PLAIN_PICTURE = r"[^,/\s][^,/\r\n]*/(?:[0-9]{5}|[1-9][0-9]{5,})\.jpg"
_ANY_PICTURE = r"[^,\r\n]*/[^,/\r\n]+"
"""Where a template rules, whose pictures are compared row by row."""
_REAL = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_UNIT_REAL = r"[-+]?(?:0?\.[0-9]+|0\.?|1(?:\.0*)?|[0-9](?:\.[0-9]*)?[eE]-0*[1-9][0-9]*)"
"""Only numbers from -1 to 1, though not all ways to write them: those are judged line by line."""


class RowForm:
    """What the rows of a challenge look like.

    Args:
        kind: The challenge.
        any_picture: Whether pictures may be spelt as a template spells them.
    """

    def __init__(self, kind: Challenge, any_picture: bool = False) -> None:
        self.kind = kind
        picture = _ANY_PICTURE if any_picture else _PLAIN_PICTURE
        digits = [f"[{c.low}-{c.high}]" if c.whole else "" for c in kind.columns]
        self._picture = re.compile(picture)
        self._fields = [re.compile(digit or _REAL) for digit in digits]
        self._usual = ",".join([picture] * (not kind.per_video) + [d or _UNIT_REAL for d in digits])

    def doubtful(self, lines: pa.StringArray) -> np.ndarray:
        """Numbers, from 0, of the lines that may be no row: `fault` tells."""
        usual = pc.match_substring_regex(lines, f"^(?:{self._usual})$")
        return np.flatnonzero(~usual.to_numpy(zero_copy_only=False))

    def picture(self, line: str) -> str | None:
        """The picture that a line begins with, if it does."""
        first = line.partition(",")[0]
        return first if self._picture.fullmatch(first) else None

    def fault(self, line: str) -> str | None:
        """Why a line is not a row of the challenge; None if it is one."""
        if not line.strip():
            return "a blank line"
        columns, fields = self.kind.columns, line.split(",")
        names = [column.name for column in columns]
        if not self.kind.per_video:
            names.insert(0, "picture")
        if len(fields) != len(names):
            due = f"{counted(len(names), 'field')} ({_named(names)})"
            return f"a row has {due}, this one has {len(fields)}"
        if not self.kind.per_video and self.picture(line) is None:
            return f"'{fields[0][:60]}' is not a picture such as video/00001.jpg"
        values = fields[-len(columns) :]
        for column, pattern, text in zip(columns, self._fields, values, strict=True):
            if pattern.fullmatch(text) is None or not column.low <= float(text) <= column.high:
                what = "whole number" if column.whole else "number"
                return (
                    f"{column.name} '{text[:30]}' is not a {what}"
                    f" from {column.low} to {column.high}"
                )
        return None


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{', '.join(names[:4])}, ... {names[-1]}"
