"""Leaderboard file > what is wrong with it.

lines > form of all rows at once, those in doubt one by one > (id, frame) of each row > rows of each
id against those due.

Letters: N lines after the header, R rows of one id.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.cli.wording import counted
from features.errors import UserError
from fusion.abaw.challenges import Challenge, challenge_of
from fusion.abaw.reading.keys import parse_pictures
from fusion.abaw.reading.lists import Template
from fusion.abaw.submission.line_ends import LineEnds
from fusion.abaw.submission.problems import Findings, Problem
from fusion.abaw.submission.row_form import RowForm

FIRST = 2
"""Number of the first line after the header."""


def check_submission(
    path: Path,
    challenge: str,
    *,
    template: Template | None = None,
    ends: LineEnds | None = None,
    frames: Mapping[str, int | None] | None = None,
    most: int = 20,
) -> list[Problem]:
    """Checks a leaderboard file of editions 3 and later against the format and the test set.

    Values may all be the same, as in the organisers' samples. Lines may end in LF or CRLF, all in
    the same; the last one need not end at all.

    Args:
        path: The file.
        challenge: Name of the challenge, see `CHALLENGES`.
        template: Sample submission: the file must have its rows, in its order and spelling.
        ends: `LineEnds.of` the template's file; lines must end in the same mark.
        frames: Without a template, the listed ids with their numbers of frames, None where
            unknown: `dict.fromkeys(read_test_list(path))`. Without either, only form, and
            frames that count 1, 2, 3 for each id, are looked at.
        most: Problems to name; the rest is counted in a last one.

    Returns:
        Problems: of the header, of rows, of ids; empty if the file is good.

    Raises:
        UserError: If there is no such file or challenge.
    """
    kind, findings = challenge_of(challenge), Findings(most)
    header = (template.header if template else "") or kind.header
    lines = _read_lines(path, header, ends, findings)
    faults, named = _faults(lines, RowForm(kind, any_picture=template is not None))
    other = None if template is None else _first_other(lines, named, template)
    if template is not None and other is None and len(named):
        _name(faults, findings)
        return findings.all()
    rows = _keys(lines, named, faults)
    _name(faults, findings)
    if not len(rows):
        findings.add(None, "there are no rows")
    else:
        _check_ids(rows, _due(rows, template, frames), other, findings)
    return findings.all()


def check_rows(path: Path, kind: Challenge, due: int | None, most: int = 20) -> list[Problem]:
    """Checks the file of one video (edition 2).

    Args:
        path: The file.
        kind: The challenge, whose rows name no picture.
        due: Number of rows that are due; None: any but 0.
        most: Problems to name; the rest is counted in a last one.
    """
    form, findings = RowForm(kind), Findings(most)
    lines = _read_lines(path, kind.header, None, findings)
    for row in form.doubtful(lines).tolist():
        if fault := form.fault(lines[row].as_py()):
            findings.add(row + FIRST, fault)
    if len(lines) != due if due is not None else not len(lines):
        rows = counted(len(lines), "row")
        findings.add(None, f"{rows} instead of {due or 'at least one'}, one for every frame")
    return findings.all()


def _read_lines(
    path: Path, expected: str, ends: LineEnds | None, findings: Findings
) -> pa.StringArray:
    """The lines (N,) after the header, without their ends; header and ends are checked."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path of the submission")
    lines = pc.split_pattern(pa.array([path.read_bytes().decode(errors="replace")]), "\n").values
    first, lines = lines[0].as_py(), lines[1:]
    mine = LineEnds(b"\r\n" if first.endswith("\r") else b"\n")
    if ends is not None and mine.mark != ends.mark:
        findings.add(1, f"lines end in {mine.name}; those of the sample submission in {ends.name}")
    if first.startswith("\ufeff"):
        findings.add(1, "the file starts with a byte-order mark; write UTF-8 without it")
    header = first.removeprefix("\ufeff").rstrip("\r")
    if header != expected:
        findings.add(1, f"the header is '{header[:80]}'; it must be '{expected}'")
    ended = len(lines) - 1  # what follows the last mark: nothing, or a line that need not end
    if ended >= 0 and not lines[ended].as_py():
        lines = lines[:ended]
    marked = pc.ends_with(lines, "\r").to_numpy(zero_copy_only=False)
    wrong = marked != (mine.mark == b"\r\n")
    wrong[ended:] &= mine.mark == b"\n"
    for row in np.flatnonzero(wrong).tolist():
        other = "CRLF" if marked[row] else "LF"
        findings.add(row + FIRST, f"this line ends in {other}, the first one does not")
    return pc.utf8_rtrim(lines, "\r") if marked.any() else lines


_Faults = dict[int, list[str]]
"""Faults by row, counted from 0."""


def _faults(lines: pa.StringArray, form: RowForm) -> tuple[_Faults, np.ndarray]:
    """What is wrong with lines, and the numbers of those that name a picture.

    Only lines in doubt are looked at one by one.
    """
    faults: _Faults = {}
    named = np.ones(len(lines), bool)
    for row in form.doubtful(lines).tolist():
        line = lines[row].as_py()
        if fault := form.fault(line):
            faults[row] = [fault]
        named[row] = form.picture(line) is not None
    return faults, np.flatnonzero(named)


def _name(faults: _Faults, findings: Findings) -> None:
    for row, messages in sorted(faults.items()):
        for message in messages:
            findings.add(row + FIRST, message)


def _first_other(lines: pa.StringArray, named: np.ndarray, template: Template) -> int | None:
    """Line of the first picture that is not the template's at its place; None: all are."""
    fields = pc.extract_regex(lines.take(pa.array(named)), r"^(?P<picture>[^,]*)")
    mine, shared = pc.struct_field(fields, "picture"), min(len(named), len(template))
    same = pc.equal(mine[:shared], template.first_fields[:shared]).to_numpy(zero_copy_only=False)
    if same.all() and len(named) == len(template):
        return None
    place = int(np.argmin(np.append(same, False)))
    return int(named[min(place, len(named) - 1)]) + FIRST if len(named) else FIRST


def _keys(lines: pa.StringArray, named: np.ndarray, faults: _Faults) -> pd.DataFrame:
    """Columns `id` and `frame` of the lines that name a picture, by line number.

    What is wrong with a frame's number is added to `faults`.
    """
    keys = (pictures := parse_pictures(lines.take(pa.array(named)))).keys
    for place, fault in pictures.faults.items():
        faults.setdefault(int(named[place]), []).append(fault)
    ids = pd.Categorical.from_codes(keys.index, pd.Index(keys.ids))
    rows = pd.DataFrame({"id": ids, "frame": keys.frame}, named + FIRST)
    return rows[rows["frame"] > 0]


def _due(
    rows: pd.DataFrame, template: Template | None, frames: Mapping[str, int | None] | None
) -> dict[str, np.ndarray]:
    """Frame numbers that are due, in order, by id."""
    if template is not None:
        return {track_id: template.keys.frame[at] for track_id, at in template.keys.by_id()}
    seen = _by_id(rows).max().to_dict()
    counts = seen if frames is None else {i: n or seen.get(i, 1) for i, n in frames.items()}
    return {track_id: np.arange(1, count + 1) for track_id, count in counts.items()}


def _by_id(rows: pd.DataFrame) -> Any:
    """Frames grouped by id, in order of first appearance."""
    return rows.groupby("id", sort=False, observed=True)["frame"]


def _check_ids(
    rows: pd.DataFrame, due: Mapping[str, np.ndarray], other: int | None, findings: Findings
) -> None:
    """Compares the rows of each id with those that are due; `other`: see `_first_other`."""
    before, groups = findings.count, {str(i): frame for i, frame in _by_id(rows)}
    for track_id, frame in groups.items():
        if track_id not in due:
            findings.add(int(frame.index[0]), f"'{track_id}' is not in the test list")
        else:
            numbers, lines = frame.to_numpy(), frame.index.to_numpy()
            _check_id(track_id, numbers, lines, due[track_id], findings)
    for track_id in sorted(due.keys() - groups.keys()):
        wanted = counted(len(due[track_id]), "row")
        findings.add(None, f"'{track_id}' has no row at all instead of {wanted}")
    if findings.count == before and other is not None:
        findings.add(other, "the sample submission has another picture here; keep its order")


def _check_id(
    track_id: str, frame: np.ndarray, lines: np.ndarray, due: np.ndarray, findings: Findings
) -> None:
    """Frames (R,) of one id in the file's order: repeated, missing, not asked for, out of order."""
    before = findings.count
    repeated = pd.Series(frame).duplicated().to_numpy()
    for wrong, what in ((repeated, "had a row before"), (~np.isin(frame, due), "is not asked for")):
        if wrong.any():
            at = np.argmax(wrong)
            findings.add(int(lines[at]), f"frame {frame[at]} of '{track_id}' {what}")
    missing = np.setdiff1d(due, frame)
    if len(missing):
        findings.add(
            None, f"'{track_id}' lacks rows: {len(missing)}, the first is frame {missing[0]}"
        )
    if findings.count == before and (moved := frame != due).any():
        at = np.argmax(moved)
        findings.add(
            int(lines[at]), f"frame {frame[at]} of '{track_id}' where frame {due[at]} is due"
        )
