"""Which frame of which person each row of a file is about.

`video/00001.jpg` > `parse_picture` > (id, frame number) > KeyCollector > FrameKeys, 8 bytes a row.
Whole files: lines > `parse_pictures` > pictures and FrameKeys, if each line is as it should be.

Letters: N rows.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_FRAMES = 1_000_000
"""Highest frame number that is believed: nine hours at 30 fps; the longest real one is 47,435."""

_ROW = r"^(?P<picture>(?P<id>[^/,\s]+)/(?P<frame>[0-9]{1,7})\.[A-Za-z]+)(?:,|$)"
"""A line that begins with a picture as ABAW writes it; narrower than `_PICTURE`, and quick."""
_PICTURE = re.compile(r"(?:.*/)?([^/]+)/(\d+)(?:\.\w+)?")


def parse_picture(picture: str) -> tuple[str, int]:
    """Id and frame number of `video/00001.jpg`; folders before the id do not count.

    Raises:
        ValueError: If that is not what it is, or the number is not counted from 1.
    """
    match = _PICTURE.fullmatch(picture.strip())
    if match is None:
        raise ValueError(f"'{picture[:60]}' is not a picture such as video/00001.jpg")
    frame = int(match[2])
    if frame == 0:
        raise ValueError(f"'{picture[:60]}': frames count from 1, not from 0")
    if frame > MOST_FRAMES:
        raise ValueError(f"'{picture[:60]}': the frame number is above {MOST_FRAMES}")
    return match[1], frame


def plain_pictures(
    lines: pa.StringArray,
) -> tuple[pa.StringArray, pa.StringArray, np.ndarray]:
    """First fields of lines (N,), their ids, and their frames (N,) int32, all at once.

    A line that does not begin with a picture such as `12_left/00001.jpg`, or has a frame that is
    not believed, has frame 0: `parse_picture` tells more.
    """
    fields = pc.extract_regex(lines, _ROW)
    picture, ids, frame = (pc.struct_field(fields, name) for name in ("picture", "id", "frame"))
    numbers = pc.fill_null(pc.cast(frame, pa.int32()), 0).to_numpy()
    return picture, ids, np.where(numbers > MOST_FRAMES, 0, numbers).astype(np.int32)


def parse_pictures(lines: Sequence[str]) -> "tuple[pa.StringArray, FrameKeys] | None":
    """First fields of lines, and what they say, all at once.

    Returns:
        Pictures (N,) as written, and their keys; None if any line does not begin with a picture
        such as `12_left/00001.jpg`, or a frame has two lines. Reading line by line tells more.
    """
    picture, ids, frame = plain_pictures(pa.array(lines, pa.string()))
    if not len(frame) or not frame.all():
        return None
    names = ids.dictionary_encode()
    keys = FrameKeys(tuple(names.dictionary.to_pylist()), names.indices.to_numpy(), frame)
    return None if keys.first_repeat() is not None else (picture, keys)


@dataclass(frozen=True)
class FrameKeys:
    """Ids and frame numbers of the rows of a file.

    Attributes:
        ids: Ids in order of first appearance.
        index: (N,) int32, index into `ids`.
        frame: (N,) int32, frame numbers from 1.
    """

    ids: tuple[str, ...]
    index: np.ndarray
    frame: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def by_id(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each id with the numbers of its rows (from 0), in the file's order."""
        order = np.argsort(self.index, kind="stable")
        ends = np.cumsum(np.bincount(self.index, minlength=len(self.ids)))
        yield from zip(self.ids, np.split(order, ends[:-1]), strict=True)

    def codes(self, ids: dict[str, int]) -> np.ndarray:
        """(N,) int64, one number for each (id, frame); -1 for an id that is not in `ids`."""
        place = np.array([ids.get(track_id, -1) for track_id in self.ids], np.int64)[self.index]
        return np.where(place < 0, -1, place * (MOST_FRAMES + 1) + self.frame)

    def first_repeat(self) -> int | None:
        """Number of the first row (from 0) whose frame had a row before; None if there is none."""
        codes = self.codes({track_id: i for i, track_id in enumerate(self.ids)})
        order = np.argsort(codes, kind="stable")
        repeats = order[1:][np.diff(codes[order]) == 0]
        return int(repeats.min()) if len(repeats) else None


class KeyCollector:
    """Collects the keys of a file's rows one by one."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._index = array("i")
        self._frame = array("i")

    def add(self, track_id: str, frame: int) -> None:
        """Appends a row."""
        self._index.append(self._ids.setdefault(track_id, len(self._ids)))
        self._frame.append(frame)

    def keys(self) -> FrameKeys:
        """All rows so far."""
        index, frame = (np.array(a, np.int32) for a in (self._index, self._frame))
        return FrameKeys(tuple(self._ids), index, frame)
