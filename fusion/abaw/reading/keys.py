"""Which frame of which person each row of a file is about.

`video/00001.jpg` > `parse_picture` > (id, frame number).
Whole files: lines > `parse_pictures` > Pictures with FrameKeys, 8 bytes a row.

Letters: N rows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusion.abaw.reading.tables import fail

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


@dataclass(frozen=True)
class Pictures:
    """What N lines begin with.

    Attributes:
        fields: (N,) first fields, without spaces around them.
        keys: Id and frame of each; where there is none, the frame is 0.
        faults: Why there is none, by the number of the line, from 0.
    """

    fields: pa.StringArray
    keys: FrameKeys
    faults: dict[int, str]

    def require_once(self, path: Path, numbers: Sequence[int], remedy: str, twice: str) -> None:
        """Raises UserError for the first line without a frame, or whose frame had a line before.

        Args:
            path: The file.
            numbers: (N,) of the lines in it, from 1.
            remedy: For a line without a frame.
            twice: For a repeated one.
        """
        if self.faults:
            row = min(self.faults)
            fail(path, numbers[row], f"{self.faults[row]}; {remedy}")
        repeat = self.keys.first_repeat()
        if repeat is not None:
            fail(path, numbers[repeat], f"this frame had a row before; {twice}")


def parse_pictures(lines: Sequence[str] | pa.StringArray) -> "Pictures":
    """First fields of lines, and what they say.

    All at once where they are as ABAW writes them, one by one where they are not.
    """
    lines = pa.array(lines, pa.string())
    found = pc.extract_regex(lines, _ROW)
    fields, ids, digits = (pc.struct_field(found, name) for name in ("picture", "id", "frame"))
    frame = pc.fill_null(pc.cast(digits, pa.int32()), 0).to_numpy().copy()
    frame[frame > MOST_FRAMES] = 0
    faults: dict[int, str] = {}
    if unlike := np.flatnonzero(frame == 0).tolist():
        texts, names = fields.to_pylist(), ids.to_pylist()
        for row in unlike:
            texts[row] = (lines[row].as_py() or "").partition(",")[0].strip()
            try:
                names[row], frame[row] = parse_picture(texts[row])
            except ValueError as error:
                names[row], faults[row] = "", str(error)
        fields, ids = pa.array(texts, pa.string()), pa.array(names, pa.string())
    coded = ids.dictionary_encode()
    keys = FrameKeys(tuple(coded.dictionary.to_pylist()), coded.indices.to_numpy(), frame)
    return Pictures(fields, keys, faults)
