"""What a test set asks for: lists of ids, and sample submissions that fix every row.

file of ids > `read_test_list` > ids; file of ids or frames > `read_listed_ids` > ids
sample submission > `read_template` > Template: header, and for each row its picture, id and frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.errors import UserError
from fusion.abaw.reading.keys import FrameKeys, parse_picture, parse_pictures
from fusion.abaw.reading.tables import fail, read_lines


@dataclass(frozen=True)
class Template:
    """Rows that a submission must have, in their order; about 40 bytes a row.

    Attributes:
        header: First line as written; empty in a list of frames that has none.
        keys: Id and frame number of each row.
        first_fields: Of rows as written, e.g. `video/00001.jpg`.
    """

    header: str
    keys: FrameKeys
    first_fields: pa.StringArray

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order of first appearance."""
        return self.keys.ids

    def pictures(self, rows: slice = slice(None)) -> Iterator[str]:
        """First fields of rows as written, e.g. `video/00001.jpg`."""
        yield from self.first_fields[rows].to_pylist()

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


def read_listed_ids(path: Path) -> list[str]:
    """Reads the ids of a test set from a list of ids, or from a list of its frames.

    Raises:
        UserError: As `read_test_list` and `read_template`.
    """
    first = next((line for line in read_lines(path) if not _is_header(line)), "")
    return list(read_template(path).ids) if _is_frame(first) else read_test_list(path)


def read_template(path: Path) -> Template:
    """Reads a sample submission or a list of frames; what follows a row's first field is ignored.

    Raises:
        UserError: If a row names no picture or one that had a row before.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path of the sample submission")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = file.read().split("\n")
    header = "" if _is_frame(lines[0]) else lines.pop(0).rstrip()
    first = 2 if header else 1
    numbers = [number for number, line in enumerate(lines, first) if line.strip()]
    if not numbers:
        raise UserError(f"{path}: no rows; download the sample submission again")
    pictures = parse_pictures([lines[number - first] for number in numbers])
    pictures.require_once(
        path, numbers, "is this a sample submission?", "download the sample submission again"
    )
    return Template(header, pictures.keys, pictures.fields)


def _is_frame(line: str) -> bool:
    try:
        parse_picture(line.partition(",")[0])
    except ValueError:
        return False
    return True


def _is_header(line: str) -> bool:
    return line.partition(",")[0].strip().lower() in ("image", "image_location")
