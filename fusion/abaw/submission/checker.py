"""Leaderboard file > what is wrong with it, in one pass and about 12 bytes a row.

blocks of lines > form of each row and its (id, frame) > rows of each id against those due.

Letters: N rows, R rows of one id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from features.cli.wording import counted
from features.errors import UserError
from fusion.abaw.challenges import Challenge, challenge_of
from fusion.abaw.reading.keys import MOST_FRAMES, FrameKeys, parse_picture
from fusion.abaw.reading.lists import Template
from fusion.abaw.submission.line_ends import LineEnds
from fusion.abaw.submission.row_form import RowForm, read_blocks


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
    kind, findings = challenge_of(challenge), _Findings(most)
    with _open(path) as file:
        mark = _check_header(
            file, (template.header if template else "") or kind.header, ends, findings
        )
        rows = _Rows(RowForm(kind, any_picture=template is not None), template, findings)
        for number, text in read_blocks(file, mark, findings.add):
            rows.add_block(number, text)
    keys = rows.keys()
    if not len(keys):
        findings.add(None, "there are no rows")
    elif template is None or rows.other is not None or len(keys) != len(template):
        _check_ids(rows, keys, template, frames, findings)
    return findings.all()


def check_rows(path: Path, kind: Challenge, due: int | None, most: int = 20) -> list[Problem]:
    """Checks the file of one video (edition 2).

    Args:
        path: The file.
        kind: The challenge, whose rows name no picture.
        due: Number of rows that are due; None: any but 0.
        most: Problems to name; the rest is counted in a last one.
    """
    form, findings, count = RowForm(kind), _Findings(most), 0
    with _open(path) as file:
        mark = _check_header(file, kind.header, None, findings)
        for number, text in read_blocks(file, mark, findings.add):
            count += text.count("\n")
            if form.all_fit(text) is None:
                _check_lines(form, number, text, findings)
    if count != due if due is not None else not count:
        rows = counted(count, "row")
        findings.add(None, f"{rows} instead of {due or 'at least one'}, one for every frame")
    return findings.all()


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path of the submission")
    return path.open("rb")


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
        return self.named + (
            [Problem(None, f"and {counted(more, 'more problem')}")] if more else []
        )


def _check_header(
    file: BinaryIO, expected: str, ends: LineEnds | None, findings: _Findings
) -> bytes:
    """Checks the first line and returns the mark that it ends with."""
    line = file.readline().decode(errors="replace")
    mine = LineEnds(b"\r\n" if line.endswith("\r\n") else b"\n")
    if ends is not None and mine.mark != ends.mark:
        findings.add(1, f"lines end in {mine.name}; those of the sample submission in {ends.name}")
    if line.startswith("\ufeff"):
        findings.add(1, "the file starts with a byte-order mark; write UTF-8 without it")
    header = line.removeprefix("\ufeff").rstrip("\r\n")
    if header != expected:
        findings.add(1, f"the header is '{header[:80]}'; it must be '{expected}'")
    return mine.mark


def _check_lines(form: RowForm, number: int, text: str, findings: _Findings) -> None:
    """Names the faults of the lines of a block."""
    for at, line in enumerate(text.removesuffix("\n").split("\n"), number):
        fault = form.fault(line)
        if fault is not None:
            findings.add(at, fault)


class _Rows:
    """Keys of the rows that name a picture, with their line numbers.

    Attributes:
        other: Line of the first row whose picture is not the template's at that place.
    """

    def __init__(self, form: RowForm, template: Template | None, findings: _Findings) -> None:
        self.other: int | None = None
        self._form, self._template, self._findings = form, template, findings
        self._ids = {name: i for i, name in enumerate(template.ids)} if template else {}
        self._parts: list[np.ndarray] = [np.zeros((3, 0), np.int32)]
        self._count = 0

    def add_block(self, number: int, text: str) -> None:
        """Adds lines that begin with line `number`."""
        pictures = self._form.all_fit(text)
        if pictures is None or not self._add_regular(number, pictures):
            self._add_lines(number, text)

    def keys(self) -> FrameKeys:
        """Ids and frames of all rows so far."""
        index, frame, _ = self._joined()
        return FrameKeys(tuple(self._ids), index, frame)

    def lines(self) -> np.ndarray:
        """(N,) int32, line numbers of all rows so far."""
        return self._joined()[2]

    def _joined(self) -> np.ndarray:
        self._parts = [np.concatenate(self._parts, axis=1)]
        return self._parts[0]

    def _add_regular(self, number: int, pictures: list[str]) -> bool:
        """Adds rows without a fault of form; False if they are to be looked at one by one."""
        lines = np.arange(number, number + len(pictures), dtype=np.int32)
        if self._template is not None:
            due = slice(self._count, self._count + len(pictures))
            if self.other is not None or pictures != list(self._template.pictures(due)):
                return False
            index, frame = self._template.keys.index[due], self._template.keys.frame[due]
        else:
            parts = [picture.split("/") for picture in pictures]
            frame = np.array([int(name[:-4]) for _, name in parts])
            if frame.min() < 1 or frame.max() > MOST_FRAMES:
                return False
            index = np.array([self._index(track_id) for track_id, _ in parts])
        self._append(np.stack([index, frame, lines]))
        return True

    def _add_lines(self, number: int, text: str) -> None:
        """Names the faults of lines and adds those that name a picture."""
        lines = text.removesuffix("\n").split("\n")
        here = slice(self._count, self._count + len(lines))
        due = self._template.pictures(here) if self._template else iter(())
        keys: list[tuple[int, int, int]] = []
        for at, line in enumerate(lines, number):
            fault = self._form.fault(line)
            if fault is not None:
                self._findings.add(at, fault)
            picture = self._form.picture(line)
            if picture is None:
                continue
            try:
                track_id, frame = parse_picture(picture)
            except ValueError as error:
                self._findings.add(at, str(error))
                continue
            if self._template and self.other is None and picture != next(due, None):
                self.other = at
            keys.append((self._index(track_id), frame, at))
        self._append(np.array(keys).reshape(-1, 3).T)

    def _append(self, part: np.ndarray) -> None:
        self._parts.append(part.astype(np.int32))
        self._count += part.shape[1]

    def _index(self, track_id: str) -> int:
        return self._ids.setdefault(track_id, len(self._ids))


def _check_ids(
    rows: _Rows,
    keys: FrameKeys,
    template: Template | None,
    frames: Mapping[str, int | None] | None,
    findings: _Findings,
) -> None:
    """Compares the rows of each id with those that are due."""
    before, lines = findings.count, rows.lines()
    by_id = {track_id: at for track_id, at in keys.by_id() if len(at)}
    due = _due_frames(keys, by_id, template, frames)
    for track_id, at in by_id.items():
        if track_id not in due:
            findings.add(int(lines[at[0]]), f"'{track_id}' is not in the test list")
        else:
            _check_id(track_id, keys.frame[at], lines[at], due[track_id], findings)
    for track_id in sorted(due.keys() - by_id.keys()):
        wanted = counted(len(due[track_id]), "row")
        findings.add(None, f"'{track_id}' has no row at all instead of {wanted}")
    if findings.count == before and rows.other is not None:
        findings.add(rows.other, "the sample submission has another picture here; keep its order")


def _due_frames(
    keys: FrameKeys,
    by_id: Mapping[str, np.ndarray],
    template: Template | None,
    frames: Mapping[str, int | None] | None,
) -> dict[str, np.ndarray]:
    """Frame numbers that are due, in order, by id."""
    if template is not None:
        return {track_id: template.keys.frame[at] for track_id, at in template.keys.by_id()}
    seen = {track_id: int(keys.frame[at].max()) for track_id, at in by_id.items()}
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
