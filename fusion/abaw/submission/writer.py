"""Decided values > leaderboard file, one row for every frame, whether a face was found or not.

FrameDecisions by id (+ Template) > `write_submission` > file and SubmissionSummary.
`checker.check_submission` looks at any such file afterwards; edition 2 has a module of its own.

Letters: F frames of one id, R rows of one id.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.abaw.challenges import Challenge, challenge_of
from fusion.abaw.reading.lists import Template
from fusion.abaw.submission.fitting import Lengths, SubmissionSummary, places, require_ids
from fusion.abaw.submission.line_ends import LineEnds
from fusion.tasks.au import UNITS
from fusion.tasks.compound import COMPOUNDS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.va import DIMENSIONS


@dataclass(frozen=True)
class FrameDecisions:
    """What is submitted for every frame of one id.

    Attributes:
        va: (F, 2) float32 in [-1, 1].
        expr: (F,) integers, index into `EXPRESSIONS`; below 7 where 'Other' is no class.
        au: (F, 12) integers, 0 or 1.
        ce: (F,) integers, index into `COMPOUNDS`.
        face: (F,) bool, False where the values rest on the frames around and the other streams.

    Raises:
        ValueError: If a shape, type or value is another.
    """

    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray
    ce: np.ndarray
    face: np.ndarray

    def __post_init__(self) -> None:
        frames = len(self.va)
        _check_array("va", self.va, (frames, len(DIMENSIONS)), "f", -1, 1)
        _check_array("expr", self.expr, (frames,), "iu", 0, len(EXPRESSIONS) - 1)
        _check_array("au", self.au, (frames, len(UNITS)), "iu", 0, 1)
        _check_array("ce", self.ce, (frames,), "iu", 0, len(COMPOUNDS) - 1)
        _check_array("face", self.face, (frames,), "b", 0, 1)

    def __len__(self) -> int:
        return len(self.va)


def write_submission(
    path: Path,
    challenge: str,
    decisions: Mapping[str, FrameDecisions],
    template: Template | None = None,
    *,
    ends: LineEnds = LineEnds(),  # noqa: B008 (frozen)
    unequal: Collection[str] = (),
) -> SubmissionSummary:
    """Writes a leaderboard file of editions 3 and later.

    With a template, its rows, their order and spelling rule; predictions are matched by frame
    number. Without one, each id gets the rows 1 to F, in the order of `decisions`.

    Args:
        path: The file; at any instant it is absent, the old one, or the whole new one.
        challenge: Name of the challenge, see `CHALLENGES`.
        decisions: Decided values by id. It may read them when asked; the ids of a template come
            in stretches, so one id at a time is enough in memory.
        template: The sample submission, if there is one.
        ends: How lines end: `LineEnds.of` the template's file.
        unequal: Ids whose video is known to differ from the template by more than `FILL_LIMIT`.

    Raises:
        UserError: If the template is another challenge's, an id has no prediction, or frames
            and template differ by more than `FILL_LIMIT`.
    """
    kind = challenge_of(challenge)
    summary = SubmissionSummary(path)
    if template is None:
        header, blocks = kind.header, _blocks_of_all(kind, decisions, summary)
    else:
        header = _checked_header(template, kind)
        blocks = _blocks_of_template(kind, decisions, template, summary, unequal)
    text = bytearray(f"{header}\n".encode())
    for block in blocks:
        text += "".join(f"{row}\n" for row in block).encode()
        summary.rows += len(block)
    write_atomically(path, ends.apply(bytes(text)))
    return summary


def _blocks_of_all(
    kind: Challenge, decisions: Mapping[str, FrameDecisions], summary: SubmissionSummary
) -> Iterator[list[str]]:
    """Rows 1 to F of each id."""
    require_ids(None, decisions, summary)
    lengths = Lengths()
    for track_id in decisions:
        decided = decisions[track_id]
        if not lengths.fit(track_id, len(decided), len(decided)):
            continue
        frame = np.arange(1, len(decided) + 1)
        at = places(track_id, decided.face, frame, len(decided), summary)
        pictures = (f"{track_id}/{number:05d}.jpg" for number in frame.tolist())
        yield format_rows(kind, pictures, decided, at)
    lengths.require_fit()


def _blocks_of_template(
    kind: Challenge,
    decisions: Mapping[str, FrameDecisions],
    template: Template,
    summary: SubmissionSummary,
    unequal: Collection[str],
) -> Iterator[list[str]]:
    """Rows of the template, matched by frame number."""
    require_ids(template.ids, decisions, summary)
    last = template.last_frames()
    # A template of chosen pictures (s-Aff-Wild2) may well end before the video.
    chosen = {name for name, at in template.keys.by_id() if len(at) < last[name]}
    lengths = Lengths()
    for track_id, run in template.runs():
        decided, known, due = decisions[track_id], track_id in unequal, last[track_id]
        longer = known or track_id in chosen
        if lengths.fit(track_id, len(decided), due, shorter=known, longer=longer):
            at = places(track_id, decided.face, template.keys.frame[run], due, summary)
            yield format_rows(kind, template.pictures(run), decided, at)
    lengths.require_fit()


def format_rows(
    kind: Challenge, pictures: Iterable[str] | None, decided: FrameDecisions, at: np.ndarray
) -> list[str]:
    """R lines without their ends; `at` (R,) are the indices of the predicted frames."""
    fields: list[Iterable[str]] = [] if pictures is None else [pictures]
    for task in kind.tasks:
        columns = kind.columns_of(task)
        values = getattr(decided, task.lower())[at].reshape(len(at), -1)
        if (values > [column.high for column in columns]).any():
            raise ValueError(f"{task} holds a class that is none of this edition's")
        pattern = ",".join("%d" if column.whole else "%.6f" for column in columns)
        fields.append([pattern % tuple(row) for row in values.tolist()])
    return [",".join(parts) for parts in zip(*fields, strict=True)]


def _checked_header(template: Template, kind: Challenge) -> str:
    """The template's header as written, if it is that of the challenge; a frame list has none."""
    if not template.header:
        return kind.header
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
