"""Leaderboard file > what is wrong with it, in one pass and about 12 bytes a row.

lines > form of each row, and its (id, frame) > rows of each id against those that are due.

Letters: N rows, R rows of one id.
"""

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from features.cli import UserError
from fusion.abaw.challenges import Challenge, Column, challenge_of
from fusion.abaw.keys import MOST_FRAMES, FrameKeys, KeyCollector
from fusion.abaw.lists import Template

_PLAIN_PICTURE = r"([^,/]+)/([0-9]{5}|[1-9][0-9]{5,})\.jpg"
_ANY_PICTURE = r"(?:[^,]*/)?([^,/]+)/([0-9]+)\.\w+"
"""A template's spelling is compared row by row instead."""
_REAL = r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file.

    Attributes:
        line: Line number from 1; None for what is missing.
        message: What is wrong.
    """

    line: int | None
    message: str

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


def check_submission(
    path: Path,
    challenge: str,
    *,
    template: Template | None = None,
    frames: Mapping[str, int | None] | None = None,
    most: int = 20,
) -> list[Problem]:
    """Checks a leaderboard file against the format and what the test set asks for.

    Args:
        path: The file.
        challenge: Name of the challenge, see `CHALLENGES`.
        template: Sample submission: the file must have its rows, in its order and spelling.
        frames: Without a template, the listed ids with their numbers of frames, None where
            unknown: `dict.fromkeys(read_test_list(path))`. Without either, only form, and
            frames that count 1, 2, 3 for each id, are looked at.
        most: Problems to name; the rest is counted in a last one.

    Returns:
        Problems: of the header, of rows, of ids; empty if the file is good.

    Raises:
        UserError: If there is no such file or challenge.
    """
    kind = challenge_of(challenge)
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path of the submission")
    findings = _Findings(most)
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        _check_header(file.readline(), template.header if template else kind.header, findings)
        rows = _check_rows(file, kind, template, findings)
    if not len(rows.keys):
        findings.add(None, "there are no rows")
    elif template is None or rows.other is not None or len(rows.keys) != len(template):
        _check_ids(rows, template, frames, findings)
    return findings.all()


@dataclass
class _Findings:
    """The first problems, and the number of all."""

    most: int
    named: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int | None, message: str) -> None:
        self.count += 1
        if self.count <= self.most:
            self.named.append(Problem(line, message))

    def all(self) -> list[Problem]:
        more = self.count - len(self.named)
        return self.named + ([Problem(None, f"and {more} more problems")] if more else [])


@dataclass
class _Rows:
    """Keys of the rows that name a picture, with their line numbers (N,).

    `other` is the line of the first row whose picture is not the template's at that place.
    """

    keys: FrameKeys
    lines: np.ndarray
    other: int | None


def _check_header(line: str, expected: str, findings: _Findings) -> None:
    if line.endswith("\r\n"):
        findings.add(1, "lines end in CRLF; write LF only")
    if line.startswith("\ufeff"):
        findings.add(1, "the file starts with a byte-order mark; write UTF-8 without it")
    header = line.removeprefix("\ufeff").rstrip("\r\n")
    if header != expected:
        findings.add(1, f"the header is '{header[:80]}'; it must be '{expected}'")


def _check_rows(
    file: TextIO, kind: Challenge, template: Template | None, findings: _Findings
) -> _Rows:
    """Checks each row by itself and collects the keys."""
    picture = re.compile(_ANY_PICTURE if template else _PLAIN_PICTURE)
    whole_row = re.compile(picture.pattern + "".join(map(_column_pattern, kind.columns)))
    reals = [column for column in kind.columns if not column.whole]
    due = template.pictures() if template else iter(())
    collector, lines, other = KeyCollector(), array("i"), None
    for number, line in enumerate(file, 2):
        line = line.rstrip("\r\n")
        row = whole_row.fullmatch(line)
        if row is None or (reals and not all(map(_in_range, reals, row.groups()[2:]))):
            findings.add(number, _explain(line, kind, picture))
        key = row or picture.match(line)
        if key is None:
            continue
        if not 0 < int(key[2]) <= MOST_FRAMES:
            findings.add(number, f"frame {key[2]} of '{key[1]}': frames count from 1")
            continue
        if template and other is None and line.partition(",")[0] != next(due, None):
            other = number
        collector.add(key[1], int(key[2]))
        lines.append(number)
    return _Rows(collector.keys(), np.array(lines, np.int32), other)


def _column_pattern(column: Column) -> str:
    return f",[{column.low}-{column.high}]" if column.whole else f",{_REAL}"


def _in_range(column: Column, text: str) -> bool:
    return column.low <= float(text) <= column.high


def _explain(line: str, kind: Challenge, picture: re.Pattern[str]) -> str:
    """Why a line is not a row of the challenge."""
    if not line.strip():
        return "a blank line"
    first, *fields = line.split(",")
    if len(fields) != len(kind.columns):
        return (
            f"a row has {len(kind.columns) + 1} fields (picture, {_named(kind.columns)}),"
            f" this one has {len(fields) + 1}"
        )
    if not picture.fullmatch(first):
        return f"'{first[:60]}' is not a picture such as video/00001.jpg"
    for column, text in zip(kind.columns, fields, strict=True):
        value = re.fullmatch(_column_pattern(column)[1:], text)
        if value is None or not (column.whole or _in_range(column, text)):
            what = "whole number" if column.whole else "number"
            return f"{column.name} '{text[:30]}' is not a {what} from {column.low} to {column.high}"
    raise AssertionError(f"no fault in '{line}'")


def _named(columns: tuple[Column, ...]) -> str:
    names = [column.name for column in columns]
    return ", ".join(names) if len(names) < 4 else f"{', '.join(names[:3])}, ... {names[-1]}"


def _check_ids(
    rows: _Rows,
    template: Template | None,
    frames: Mapping[str, int | None] | None,
    findings: _Findings,
) -> None:
    """Compares the rows of each id with those that are due."""
    before = findings.count
    due = _due_frames(rows.keys, template, frames)
    for track_id, at in rows.keys.by_id():
        if track_id not in due:
            findings.add(int(rows.lines[at[0]]), f"'{track_id}' is not in the test list")
        else:
            _check_id(track_id, rows.keys.frame[at], rows.lines[at], due[track_id], findings)
    for track_id in due.keys() - set(rows.keys.ids):
        findings.add(None, f"'{track_id}' has no row at all; {len(due[track_id])} are due")
    if findings.count == before and rows.other is not None:
        findings.add(rows.other, "the sample submission has another picture here; keep its order")


def _due_frames(
    keys: FrameKeys, template: Template | None, frames: Mapping[str, int | None] | None
) -> dict[str, np.ndarray]:
    """Frame numbers that are due, in order, by id."""
    if template is not None:
        return {track_id: template.keys.frame[at] for track_id, at in template.keys.by_id()}
    seen = {track_id: int(keys.frame[at].max()) for track_id, at in keys.by_id()}
    counts = seen if frames is None else {i: n or seen.get(i, 1) for i, n in frames.items()}
    return {track_id: np.arange(1, count + 1) for track_id, count in counts.items()}


def _check_id(
    track_id: str, frame: np.ndarray, lines: np.ndarray, due: np.ndarray, findings: _Findings
) -> None:
    """Frames (R,) of one id in the file's order: repeated, missing, not asked for, out of order."""
    before = findings.count
    first = np.zeros(len(frame), bool)
    first[np.unique(frame, return_index=True)[1]] = True
    if not first.all():
        at = np.argmin(first)
        findings.add(int(lines[at]), f"frame {frame[at]} of '{track_id}' had a row before")
    extra = ~np.isin(frame, due)
    if extra.any():
        at = np.argmax(extra)
        findings.add(int(lines[at]), f"frame {frame[at]} of '{track_id}' is not asked for")
    missing = np.setdiff1d(due, frame)
    if len(missing):
        findings.add(
            None, f"'{track_id}' lacks rows: {len(missing)}, the first is frame {missing[0]}"
        )
    if findings.count == before and not np.array_equal(frame, due):
        at = np.argmax(frame != due)
        findings.add(
            int(lines[at]), f"frame {frame[at]} of '{track_id}' where frame {due[at]} is due"
        )
