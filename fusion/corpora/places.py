"""Where the rows of a table belong in their clips: at a frame, at a moment, or all over.

Data flow: ids and columns `frame` or `time` > checked > Places.

Letters: R rows of the table.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusion.abaw.reading.keys import MOST_FRAMES, FrameKeys
from fusion.abaw.reading.tables import fail, require

WHOLE = 0
"""Place of a row for the whole clip."""
LATEST = 86_400
"""Seconds that are believed: a day."""


@dataclass(frozen=True)
class Places:
    """Where each row belongs.

    Attributes:
        keys: Clip of each row and its place in it: the number of the frame, or of the moment among
            those of the clip, from 1, and `WHOLE` for the whole clip.
        times: (R,) float64 seconds; None where rows belong to frames.
    """

    keys: FrameKeys
    times: np.ndarray | None = None

    def name(self, row: int) -> str:
        """What a row is about, for messages."""
        if self.keys.frame[row] == WHOLE:
            return "the whole clip"
        if self.times is None:
            return f"frame {self.keys.frame[row]}"
        return f"{self.times[row]:g} s"

    def require_once(self, path: Path) -> None:
        """Raises UserError if a place has two rows, or a clip rows for all frames and for some."""
        keys = self.keys
        repeat = keys.first_repeat()
        if repeat is not None:
            name = keys.ids[keys.index[repeat]]
            fail(path, repeat + 2, f"{self.name(repeat)} of '{name}' had a row before; remove one")
        whole = np.zeros(len(keys.ids), bool)
        whole[keys.index[keys.frame == WHOLE]] = True
        mixed = whole[keys.index] & (keys.frame != WHOLE)
        column = "frame" if self.times is None else "time"
        what = f"the clip has a row without a {column}, which is for all frames; give one or the"
        require(~mixed, path, f"{what} other")


def frame_places(
    ids: tuple[str, ...], index: np.ndarray, numbers: np.ndarray, given: np.ndarray, path: Path
) -> Places:
    """Places of rows that name frames.

    Args:
        ids: Of the clips.
        index: (R,) int32, clip of each row.
        numbers: (R,) float64, as written.
        given: (R,) bool, where there is one.
        path: The table, for messages.

    Raises:
        UserError: For the first that is no frame's number.
    """
    legal = (numbers >= 1) & (numbers <= MOST_FRAMES) & (np.floor(numbers) == numbers)
    require(legal | ~given, path, "the frame must be a whole number from 1, or empty for all")
    return Places(FrameKeys(ids, index, np.where(given, numbers, WHOLE).astype(np.int32)))


def time_places(
    ids: tuple[str, ...], index: np.ndarray, times: np.ndarray, given: np.ndarray, path: Path
) -> Places:
    """Places of rows that name seconds; the arguments are those of `frame_places`.

    Raises:
        UserError: For the first that is no time.
    """
    legal = (times >= 0) & (times <= LATEST)
    require(legal | ~given, path, "the time must be seconds, from 0, or empty for all")
    order = np.lexsort((times, index))
    first = np.diff(index[order], prepend=-1) != 0
    moment = np.cumsum(first | (np.diff(times[order], prepend=-1) != 0))
    rows = np.diff(np.flatnonzero(np.append(first, True)))
    places = np.empty(len(index), np.int32)
    places[order] = moment - np.repeat(moment[first], rows) + 1
    return Places(FrameKeys(ids, index, np.where(given, places, WHOLE).astype(np.int32)), times)
