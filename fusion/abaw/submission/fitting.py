"""Predictions held against what a test set asks for: ids, numbers of frames, and what was left out.

Letters: F frames of one id, R rows of one id.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.cli.wording import counted
from features.errors import UserError

FILL_LIMIT = 1
"""Frames by which predictions and template may differ: decoders differ from containers by one."""


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


class Lengths:
    """Holds predictions against the rows that are asked for, and names all that do not fit."""

    def __init__(self) -> None:
        self._empty: dict[str, str] = {}
        self._unlike: dict[str, str] = {}

    def fit(
        self,
        track_id: str,
        predicted: int,
        last: int,
        *,
        shorter: bool = False,
        longer: bool = False,
    ) -> bool:
        """Whether an id's predictions fit; if not it is noted.

        Args:
            track_id: The id.
            predicted: F, the number of its frames.
            last: Its highest frame number that is asked for.
            shorter: Whether the video may lack more than `FILL_LIMIT` frames.
            longer: Whether the video may have more than `FILL_LIMIT` frames too many.
        """
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
    face: np.ndarray,
    frame: np.ndarray,
    last: int,
    summary: SubmissionSummary,
) -> np.ndarray:
    """(R,) indices of the predicted frames for the frame numbers (R,).

    Args:
        track_id: The id.
        face: (F,) bool, whether a predicted frame has one; F fits (`Lengths`).
        frame: Frame numbers of rows.
        last: The id's highest frame number that is asked for.
        summary: What does not rest on a face in its own frame is added to it.
    """
    predicted = len(face)
    no_face = int((~face[frame[frame <= predicted] - 1]).sum())
    _count(summary.no_face, track_id, no_face)
    _count(summary.beyond, track_id, int((frame > predicted).sum()))
    if predicted > last:
        summary.surplus[track_id] = predicted - last
    return np.asarray(np.minimum(frame, predicted) - 1)


def require_ids(
    asked: Sequence[str] | None,
    decisions: Collection[str],
    summary: SubmissionSummary,
) -> None:
    """Refuses a lack of predictions; notes the number of ids, and those not asked for.

    Args:
        asked: Ids that must have predictions; None: those that have.
        decisions: Ids that have predictions.
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
    summary.unused = sorted(set(decisions) - set(wanted))


def _count(counts: dict[str, int], track_id: str, new: int) -> None:
    if new:
        counts[track_id] = counts.get(track_id, 0) + new


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return f"{', '.join(names[:3])}{f', ... ({len(names)} in all)' if names[3:] else ''}"
