"""Decided values > leaderboard file, one row for every frame, whether a face was found or not.

FrameDecisions by id (+ Template) > `write_submission` > file and SubmissionSummary.
`checker.check_submission` looks at any such file afterwards; edition 2 has a module of its own.

Letters: F frames of one id, R rows of one id.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.cli.wording import counted
from features.errors import UserError
from features.store.feature_track import write_atomically
from fusion.abaw.challenges import COMPOUNDS, Challenge, challenge_of
from fusion.abaw.reading.lists import Template
from fusion.abaw.submission.line_ends import LineEnds
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS

FILL_LIMIT = 1
"""Frames by which predictions and template may differ: decoders differ from containers by one."""


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


@dataclass
class SubmissionSummary:
    """What was written, and every row that does not rest on a face in its own frame.

    Attributes:
        path: The file, or the folder of edition 2.
        rows: Number of rows after the header.
        ids: Number of ids.
        no_face: By id, rows of frames without a face: interpolated, or from the other streams.
        beyond: By id, rows beyond the last decoded frame, which repeat its values.
        surplus: By id, predicted frames after the last row that is asked for; left out.
        unused: Ids with predictions that are not asked for.
    """

    path: Path
    rows: int = 0
    ids: int = 0
    no_face: dict[str, int] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)
    surplus: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The summary for people."""
        counts = {
            "no face, values from the frames around or other streams": self.no_face,
            "beyond the last decoded frame, its values repeated": self.beyond,
            "predicted but not asked for, left out": self.surplus,
        }
        text = [f"{self.path}: {counted(self.rows, 'row')}, {counted(self.ids, 'id')}"]
        text += [
            f"  {what}: {counted(sum(found.values()), 'frame')} of {_listed(found)}"
            for what, found in counts.items()
            if found
        ]
        return text + [f"  not asked for: {_listed(self.unused)}"] * bool(self.unused)


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
        if not lengths.fit(track_id, decided, len(decided)):
            continue
        frame = np.arange(1, len(decided) + 1)
        at = places(track_id, decided, frame, len(decided), summary)
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
        decided, known = decisions[track_id], track_id in unequal
        if lengths.fit(
            track_id, decided, last[track_id], shorter=known, longer=known or track_id in chosen
        ):
            at = places(track_id, decided, template.keys.frame[run], last[track_id], summary)
            yield format_rows(kind, template.pictures(run), decided, at)
    lengths.require_fit()


class Lengths:
    """Holds predictions against the rows that are asked for, and names all that do not fit."""

    def __init__(self) -> None:
        self._empty: dict[str, str] = {}
        self._unlike: dict[str, str] = {}

    def fit(
        self,
        track_id: str,
        decided: FrameDecisions,
        last: int,
        *,
        shorter: bool = False,
        longer: bool = False,
    ) -> bool:
        """Whether an id's predictions fit; if not it is noted.

        Args:
            track_id: The id.
            decided: Its F frames.
            last: Its highest frame number that is asked for.
            shorter: Whether the video may lack more than `FILL_LIMIT` frames.
            longer: Whether the video may have more than `FILL_LIMIT` frames too many.
        """
        predicted = len(decided)
        if not predicted:
            self._empty[track_id] = f"'{track_id}' has no predicted frame"
        elif abs(last - predicted) > FILL_LIMIT and not (shorter if predicted < last else longer):
            self._unlike[track_id] = (
                f"'{track_id}' has {predicted} predicted frames, but its last row is frame {last}"
            )
        return track_id not in self._empty | self._unlike

    def require_fit(self) -> None:
        """Raises UserError, with every id at once, if some did not fit."""
        faults = [*self._empty.values(), *self._unlike.values()]
        if not faults:
            return
        its, it_is = ("its video", "it is the right one")
        if len(faults) > 1:
            its, it_is = ("their videos", "they are the right ones")
        add = " ".join(f"--unequal+ {track_id}" for track_id in self._unlike)
        otherwise = f", or if {it_is}, add {add}" if add else ""
        raise UserError(f"{'; '.join(faults)}; extract {its} again{otherwise}")


def places(
    track_id: str,
    decided: FrameDecisions,
    frame: np.ndarray,
    last: int,
    summary: SubmissionSummary,
) -> np.ndarray:
    """(R,) indices of the predicted frames for the frame numbers (R,).

    Args:
        track_id: The id.
        decided: Its F frames, which fit (`Lengths`).
        frame: Frame numbers of rows.
        last: The id's highest frame number that is asked for.
        summary: What does not rest on a face in its own frame is added to it.
    """
    predicted = len(decided)
    no_face = int((~decided.face[frame[frame <= predicted] - 1]).sum())
    _count(summary.no_face, track_id, no_face)
    _count(summary.beyond, track_id, int((frame > predicted).sum()))
    if predicted > last:
        summary.surplus[track_id] = predicted - last
    return np.asarray(np.minimum(frame, predicted) - 1)


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


def require_ids(
    asked: Sequence[str] | None,
    decisions: Mapping[str, FrameDecisions],
    summary: SubmissionSummary,
) -> None:
    """Refuses a lack of predictions; notes the number of ids, and those not asked for.

    Args:
        asked: Ids that must have predictions; None: those that have.
        decisions: Decided values by id.
        summary: Is added to.
    """
    if not decisions:
        raise UserError(f"{summary.path}: no predictions to write; predict the listed videos first")
    wanted = list(decisions if asked is None else asked)
    missing = [track_id for track_id in wanted if track_id not in decisions]
    if missing:
        raise UserError(
            f"no prediction of {len(missing)} of {counted(len(wanted), 'listed id')}"
            f" ({_listed(missing)}); predict them first"
        )
    summary.ids = len(wanted)
    summary.unused = sorted(decisions.keys() - set(wanted))


def _count(counts: dict[str, int], track_id: str, new: int) -> None:
    if new:
        counts[track_id] = counts.get(track_id, 0) + new


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return f"{', '.join(names[:3])}{f', ... ({len(names)} in all)' if names[3:] else ''}"


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
