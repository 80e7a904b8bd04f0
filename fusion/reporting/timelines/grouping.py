"""Frames that share a column of pixels, and what is shown for all of them.

Data flow: times > Groups > mean, range or most frequent class of each group, masked where unknown.

Letters: F frames, G groups.
"""

from dataclasses import dataclass

import numpy as np

COLUMNS = 650
"""Most groups of frames that a panel shows, about two pixels for each."""


@dataclass(frozen=True)
class Groups:
    """Consecutive frames that are drawn as one; one frame each while there is room.

    Attributes:
        starts: (G,) int64, first frame of each group.
        edges: (G + 1,) float64, seconds; a group lasts until the next one begins.
        centres: (G,) float64, mean time of each group's frames.
    """

    starts: np.ndarray
    edges: np.ndarray
    centres: np.ndarray

    @staticmethod
    def of(times: np.ndarray, columns: int = COLUMNS) -> "Groups":
        """Groups (F,) times, F > 0, by `columns` equal parts of the whole duration."""
        end = times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1.0)
        column = np.arange(len(times))
        if len(times) > columns:
            column = ((times - times[0]) / (end - times[0]) * columns).astype(np.int64)
        starts = np.flatnonzero(np.diff(column, prepend=-1))
        sizes = np.diff(np.append(starts, len(times)))
        centres = np.add.reduceat(times, starts) / sizes
        return Groups(starts, np.append(times[starts], end), centres)

    def mean(self, values: np.ndarray, mask: np.ndarray) -> np.ma.MaskedArray:
        """(G, ...) means of (F, ...) values; masked where a group has no value."""
        count = np.add.reduceat(mask, self.starts, dtype=np.int64)
        total = np.add.reduceat(np.where(mask, values, 0.0), self.starts)
        return np.ma.masked_array(total / np.maximum(count, 1), count == 0)

    def range(
        self, values: np.ndarray, mask: np.ndarray
    ) -> tuple[np.ma.MaskedArray, np.ma.MaskedArray]:
        """(G,) least and greatest of (F,) values; masked where a group has no value."""
        low = np.minimum.reduceat(np.where(mask, values, np.inf), self.starts)
        high = np.maximum.reduceat(np.where(mask, values, -np.inf), self.starts)
        return np.ma.masked_invalid(low), np.ma.masked_invalid(high)

    def most_frequent(
        self, classes: np.ndarray, mask: np.ndarray, number: int
    ) -> np.ma.MaskedArray:
        """(G,) most frequent of (F,) classes; masked where a group has none."""
        one_hot = (classes[:, None] == np.arange(number)) & mask[:, None]
        counts = np.add.reduceat(one_hot, self.starts, dtype=np.int64)
        return np.ma.masked_array(counts.argmax(1), counts.sum(1) == 0)
