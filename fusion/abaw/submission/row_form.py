"""The form of a leaderboard file's lines: read by the block, explained one by one.

file > `read_blocks` > thousands of lines > `RowForm.all_fit`, else `RowForm.fault` of each.

Letters: N lines of a block.
"""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from features.cli.wording import counted
from fusion.abaw.challenges import Challenge, Column

BLOCK = 1 << 16
"""Bytes that are looked at together."""

_PLAIN_PICTURE = r"(?!\s)[^,/\r\n]+/(?:[0-9]{5}|[1-9][0-9]{5,})\.jpg"
_ANY_PICTURE = r"[^,\r\n]*/[^,/\r\n]+"
"""Where a template rules, whose pictures are compared row by row."""
_REAL = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_UNIT_REAL = r"[-+]?(?:0?\.[0-9]+|0\.?|1(?:\.0*)?|[0-9](?:\.[0-9]*)?[eE]-0*[1-9][0-9]*)"
"""Only numbers from -1 to 1, though not all ways to write them: those are judged line by line."""


def read_blocks(
    file: BinaryIO, mark: bytes, complain: Callable[[int, str], None]
) -> Iterator[tuple[int, str]]:
    """The lines after the header, some thousand at a time.

    Args:
        file: After its first line.
        mark: LF or CRLF, with which all lines should end.
        complain: Told number and fault of each line that ends otherwise.

    Yields:
        Number of the first line, and text whose lines all end in LF.
    """
    number = 2
    while block := file.read(BLOCK):
        block += file.readline()
        if not block.endswith(b"\n"):  # only the file's last line
            block += mark
        yield number, _ending_in_lf(block.decode(errors="replace"), mark, number, complain)
        number += block.count(b"\n")


def _ending_in_lf(text: str, mark: bytes, number: int, complain: Callable[[int, str], None]) -> str:
    crlf = mark == b"\r\n"
    if text.count("\r\n") == text.count("\r") == crlf * text.count("\n"):
        return text.replace("\r\n", "\n") if crlf else text
    lines = text.removesuffix("\n").split("\n")
    for at, line in enumerate(lines, number):
        if line.endswith("\r") != crlf:
            complain(at, f"this line ends in {'LF' if crlf else 'CRLF'}, the first one does not")
    return "".join(line.rstrip("\r") + "\n" for line in lines)


class RowForm:
    """What the rows of a challenge look like.

    Args:
        kind: The challenge.
        any_picture: Whether pictures may be spelt as a template spells them.
    """

    def __init__(self, kind: Challenge, any_picture: bool = False) -> None:
        self.kind = kind
        self._picture = re.compile(_ANY_PICTURE if any_picture else _PLAIN_PICTURE)
        first = [] if kind.per_video else [f"({self._picture.pattern})"]
        self._fields = [re.compile(_pattern(column, _REAL)) for column in kind.columns]
        usual = ",".join(first + [_pattern(column, _UNIT_REAL) for column in kind.columns])
        self._usual = re.compile(f"^{usual}$", re.MULTILINE)

    def all_fit(self, text: str) -> list[str] | None:
        """The N pictures (edition 2: rows) of a block; None if a line may be no row."""
        found: list[str] = self._usual.findall(text)
        return found if len(found) == text.count("\n") else None

    def picture(self, line: str) -> str | None:
        """The picture that a line begins with, if it does."""
        first = line.partition(",")[0]
        return first if self._picture.fullmatch(first) else None

    def fault(self, line: str) -> str | None:
        """Why a line is not a row of the challenge; None if it is one."""
        if self._usual.fullmatch(line):
            return None
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


def _pattern(column: Column, real: str) -> str:
    return f"[{column.low}-{column.high}]" if column.whole else real


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{', '.join(names[:4])}, ... {names[-1]}"
