"""What a test set asks for: lists of ids, and sample submissions that fix every row.

file of ids > `read_test_list` > ids
sample submission > `read_template` > Template: header, and for each row its picture, id and frame.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from features.cli import UserError
from fusion.abaw.keys import FrameKeys, KeyCollector, parse_picture
from fusion.abaw.tables import fail, read_lines


@dataclass(frozen=True)
class Template:
    """Rows that a submission must have, in their order; about 40 bytes a row.

    Attributes:
        header: First line as written.
        keys: Id and frame number of each row.
    """

    header: str
    keys: FrameKeys
    _pictures: bytes
    _ends: "array[int]"

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order of first appearance."""
        return self.keys.ids

    def pictures(self, rows: slice = slice(None)) -> Iterator[str]:
        """First fields of rows as written, e.g. `video/00001.jpg`."""
        for row in range(*rows.indices(len(self))):
            yield self._pictures[self._ends[row] : self._ends[row + 1]].decode()

    def last_frames(self) -> dict[str, int]:
        """Highest frame number of each id."""
        return {track_id: int(self.keys.frame[rows].max()) for track_id, rows in self.keys.by_id()}

    def runs(self) -> Iterator[tuple[str, slice]]:
        """Stretches of rows of the same id, in the file's order."""
        borders = np.flatnonzero(np.diff(self.keys.index)) + 1
        for start, stop in pairwise([0, *borders.tolist(), len(self)]):
            yield self.ids[self.keys.index[start]], slice(start, stop)


def read_test_list(path: Path) -> list[str]:
    """Reads a list of ids, one a line.

    Raises:
        UserError: If the file is empty, or a line is not an id or is there twice.
    """
    ids: dict[str, None] = {}
    for number, line in enumerate(read_lines(path), 1):
        track_id = line.strip()
        if not track_id or "," in track_id or "/" in track_id:
            fail(path, number, "not an id; a test list has one id a line, such as 12_left")
        if track_id in ids:
            fail(path, number, f"'{track_id}' is in the list twice; delete one")
        ids[track_id] = None
    return list(ids)


def read_template(path: Path) -> Template:
    """Reads a sample submission; what follows the first field of a row does not count.

    Raises:
        UserError: If a row names no picture or one that had a row before.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path of the sample submission")
    collector, pictures, ends = KeyCollector(), bytearray(), array("q", [0])
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().rstrip()
        for number, line in enumerate(file, 2):
            if not line.strip():
                continue
            picture = line.partition(",")[0].strip()
            try:
                collector.add(*parse_picture(picture))
            except ValueError as error:
                fail(path, number, f"{error}; is this a sample submission?")
            pictures += picture.encode()
            ends.append(len(pictures))
    keys = collector.keys()
    if not len(keys):
        raise UserError(f"{path}: no rows; download the sample submission again")
    repeat = keys.first_repeat()
    if repeat is not None:
        fail(path, repeat + 2, "this frame had a row before; download the sample submission again")
    return Template(header, keys, bytes(pictures), ends)
