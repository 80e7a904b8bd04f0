"""Decided values > leaderboard file, one row for every frame, whether a face was found or not.

FrameDecisions by id (+ Template) > `write_submission` > file and SubmissionSummary.
`checker.check_submission` looks at any such file afterwards.

Letters: F frames of one id, R rows of one id.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.cli import UserError
from features.track import write_atomically
from fusion.abaw.challenges import TASK_COLUMNS, Challenge, challenge_of
from fusion.abaw.labels import DIMENSIONS, EXPRESSIONS, UNITS
from fusion.abaw.lists import Template

FILL_LIMIT = 2
"""Frames at the end of a video that may lack a prediction: decoders differ by a frame or so."""


@dataclass(frozen=True)
class FrameDecisions:
    """What is submitted for every frame of one id.

    Attributes:
        va: (F, 2) float32 in [-1, 1].
        expr: (F,) int64, index into `EXPRESSIONS`.
        au: (F, 12) int64, 0 or 1.

    Raises:
        ValueError: If a shape, type or value is another.
    """

    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray

    def __post_init__(self) -> None:
        frames = len(self.va)
        _check_array("va", self.va, (frames, len(DIMENSIONS)), "f", -1, 1)
        _check_array("expr", self.expr, (frames,), "iu", 0, len(EXPRESSIONS) - 1)
        _check_array("au", self.au, (frames, len(UNITS)), "iu", 0, 1)

    def __len__(self) -> int:
        return len(self.va)


@dataclass
class SubmissionSummary:
    """What was written, and where predictions and template did not agree.

    Attributes:
        path: The file.
        rows: Number of rows after the header.
        ids: Number of ids.
        filled: By id, rows that repeat the last prediction because the video gave fewer frames.
        surplus: By id, predicted frames after the last row that the template asks for; left out.
        unused: Ids with predictions that the template does not ask for.
    """

    path: Path
    rows: int = 0
    ids: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    surplus: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def write_submission(
    path: Path,
    challenge: str,
    decisions: Mapping[str, FrameDecisions],
    template: Template | None = None,
) -> SubmissionSummary:
    """Writes a leaderboard file.

    With a template, its rows, their order and spelling rule; predictions are matched by frame
    number. Without one, each id gets the rows 1 to F, in the order of `decisions`.

    Args:
        path: The file; at any instant it is absent, the old one, or the whole new one.
        challenge: Name of the challenge, see `CHALLENGES`.
        decisions: Decided values by id. It may read them when asked; the ids of a template come
            in stretches, so one id at a time is enough in memory.
        template: The sample submission, if there is one.

    Raises:
        UserError: If the template is another challenge's, an id has no prediction, or more than
            `FILL_LIMIT` frames at its end have none.
    """
    kind = challenge_of(challenge)
    summary = SubmissionSummary(path)
    if template is None:
        header, blocks = kind.header, _blocks_of_all(kind, decisions, summary)
    else:
        header = _checked_header(template, kind)
        blocks = _blocks_of_template(kind, decisions, template, summary)
    text = bytearray(f"{header}\n".encode())
    for block in blocks:
        text += "".join(f"{row}\n" for row in block).encode()
        summary.rows += len(block)
    write_atomically(path, bytes(text))
    return summary


def _blocks_of_all(
    kind: Challenge, decisions: Mapping[str, FrameDecisions], summary: SubmissionSummary
) -> Iterator[list[str]]:
    """Rows 1 to F of each id."""
    if not decisions:
        raise UserError(f"{summary.path}: no predictions to write; predict the listed videos first")
    for track_id in decisions:
        decided = decisions[track_id]
        if not len(decided):
            raise UserError(f"'{track_id}' has no predicted frame; extract its video again")
        pictures = (f"{track_id}/{frame:05d}.jpg" for frame in range(1, len(decided) + 1))
        summary.ids += 1
        yield _rows(kind, pictures, decided, np.arange(len(decided)))


def _blocks_of_template(
    kind: Challenge,
    decisions: Mapping[str, FrameDecisions],
    template: Template,
    summary: SubmissionSummary,
) -> Iterator[list[str]]:
    """Rows of the template, matched by frame number."""
    missing = [track_id for track_id in template.ids if track_id not in decisions]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(template.ids)} listed ids have no prediction"
            f" ({', '.join(missing[:3])}{', ...' if missing[3:] else ''}); predict them first"
        )
    summary.ids = len(template.ids)
    listed = set(template.ids)
    summary.unused = [track_id for track_id in decisions if track_id not in listed]
    last_frames = template.last_frames()
    for track_id, run in template.runs():
        decided = decisions[track_id]
        frame = template.keys.frame[run]
        _count_mismatch(track_id, len(decided), frame, last_frames[track_id], summary)
        at = np.minimum(frame, len(decided)) - 1
        yield _rows(kind, template.pictures(run), decided, at)


def _count_mismatch(
    track_id: str, predicted: int, frame: np.ndarray, last: int, summary: SubmissionSummary
) -> None:
    """Notes where predictions end before or after the template's rows; refuses a large lack."""
    if predicted == 0 or last - predicted > FILL_LIMIT:
        raise UserError(
            f"'{track_id}' has {predicted} predicted frames, but its last row is frame {last};"
            " extract its video again, or name the right one"
        )
    filled = int((frame > predicted).sum())
    if filled:
        summary.filled[track_id] = summary.filled.get(track_id, 0) + filled
    if predicted > last:
        summary.surplus[track_id] = predicted - last


def _rows(
    kind: Challenge, pictures: Iterable[str], decided: FrameDecisions, at: np.ndarray
) -> list[str]:
    """R lines without their ends; `at` (R,) are the indices of the predicted frames."""
    fields: list[Iterable[str]] = []
    for task in kind.tasks:
        values = getattr(decided, task.lower())[at].reshape(len(at), -1)
        pattern = ",".join("%d" if column.whole else "%.6f" for column in TASK_COLUMNS[task])
        fields.append([pattern % tuple(row) for row in values.tolist()])
    return [",".join(parts) for parts in zip(pictures, *fields, strict=True)]


def _checked_header(template: Template, kind: Challenge) -> str:
    """The template's header as written, if it is that of the challenge."""
    if template.header.replace(" ", "").lower() != kind.header.lower():
        raise UserError(
            f"the sample submission's header is '{template.header[:60]}', not that of {kind.name};"
            " pass the sample of the same challenge"
        )
    return template.header


def _check_array(
    name: str, array: np.ndarray, shape: tuple[int, ...], kinds: str, low: int, high: int
) -> None:
    if array.shape != shape or array.dtype.kind not in kinds:
        raise ValueError(
            f"{name} is {array.shape} {array.dtype}; it must be {shape} decided values"
        )
    if not ((array >= low) & (array <= high)).all():
        raise ValueError(f"{name} must be finite and {low} to {high} everywhere")
