"""`labels.csv` in a folder of videos, sound or crops: a table of labels of any data set.

Data flow: CSV > columns (R rows) > checked > rows by id > FrameLabels, or ClipLabels of rows that
name no frame, or TimedLabels of rows that name a time > Clips.

fusion/corpora/README.md says what each column means.

Letters: R rows of the table.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

from features.cli.wording import counted
from features.errors import UserError
from features.importers.text_tables import TextTable, read_table_text
from features.media.kinds import SOUND_SUFFIXES, VIDEO_SUFFIXES
from fusion.abaw.reading.keys import FrameKeys
from fusion.abaw.reading.layout import SPLITS, video_of
from fusion.abaw.reading.tables import fail, require
from fusion.corpora.places import WHOLE, Places, frame_places, time_places
from fusion.corpora.registry import register
from fusion.corpora.table_labels import Columns, coded, labels_of, numbers_of
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.labels import ClipLabels, FrameLabels, TimedLabels
from fusion.tasks.registry import known_tasks, task_type
from fusion.tasks.va import DIMENSIONS

FILE = "labels.csv"
TEXTS = ("id", "split", "person", "expression")
NUMBERS = ("frame", "time", *DIMENSIONS, *UNITS)


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """`labels.csv` of the root itself, if it has a column id."""
    path = root / FILE
    return [path] if path.is_file() and "id" in _header(read_table_text(path, quiet=True)) else []


def why_not(root: Path) -> str:
    """The end of a message: that the table that is there is none of labels; empty without it."""
    path = root / FILE
    if not path.is_file():
        return ""
    names = read_table_text(path, quiet=True).header
    return f"; {path} has no column id, but {', '.join(names) or 'nothing'}"


@register(
    "a table labels.csv",
    layout=f"{FILE} with a column id",
    find=find,
    near_miss=why_not,
)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each id.

    Raises:
        UserError: For the first row that is not as it should be, with its line.
    """
    (path,) = paths
    columns = _read_columns(path)
    ids, index = _ids(columns, path)
    places = _places(columns, ids, index, path)
    places.require_once(path)
    keys = places.keys
    splits, people = _splits(columns, keys, path), _of_ids(columns, "person", keys, path)
    labels = labels_of(columns, len(index), path)
    known = labels.rows
    clips = []
    for name, rows in keys.by_id():
        own = FrameLabels(0)
        if known[rows].any():
            own = _of_clip(labels, places, rows)
        video = video_of(name)
        clips.append(Clip(name, video, splits[name], own, people.get(name) or video))
    return clips


def _header(table: TextTable) -> list[str]:
    """Names of the columns; letter case and spaces around them do not count."""
    written = {name.lower(): name for name in (*_texts(), *NUMBERS)}
    return [written.get(name.lower(), name) for name in table.header]


def _texts() -> list[str]:
    """Columns of text: those of every table, and of tasks that have one."""
    return [*TEXTS, *(t for name in known_tasks() if (t := task_type(name).table_text))]


def _prefixes() -> dict[str, str]:
    """What columns with values of a task begin with, to the task."""
    return {p: name for name in known_tasks() if (p := task_type(name).table_prefix)}


def _read_columns(path: Path) -> Columns:
    """All columns, texts without spaces around them and numbers as float64 with null for none."""
    text = read_table_text(path)
    names = _header(text)
    for i, name in enumerate(names):
        if name not in (*_texts(), *NUMBERS) and not name.startswith(tuple(_prefixes())):
            units = f"{UNITS[0]} to {UNITS[-1]}"
            further = (f"{prefix}NAME" for prefix in _prefixes())
            known = ", ".join((*_texts(), "frame", "time", *DIMENSIONS, units, *further))
            fail(path, 1, f"unknown column '{name}'; remove it; the columns are {known}")
        if name in names[:i]:
            fail(path, 1, f"column '{name}' is there twice; remove one")
    if "frame" in names and "time" in names:
        fail(path, 1, "frame and time both say where a label belongs; remove one of the columns")
    if ("valence" in names) != ("arousal" in names):
        fail(path, 1, "valence and arousal are labels only together; add the other column")
    texts = _texts()
    types = {name: pa.string() if name in texts else pa.float64() for name in names}
    try:
        table = read_csv(
            pa.BufferReader(text.text.encode()),
            ReadOptions(column_names=names, skip_rows=1),
            ParseOptions(delimiter=text.separator, ignore_empty_lines=False),
            ConvertOptions(column_types=types, decimal_point=text.decimal_point),
        )
    except pa.ArrowInvalid as error:
        _find_bad_line(path, text, names, str(error))
    return {
        name: pc.utf8_trim_whitespace(table[name]) if name in texts else table[name]
        for name in names
    }


def _find_bad_line(path: Path, text: TextTable, names: Sequence[str], complaint: str) -> NoReturn:
    """Names the first line that is not a row of these columns."""
    rows = csv.reader(text.lines, delimiter=text.separator)
    next(rows)
    for row in rows:
        if len(row) != len(names):
            cells = counted(len(row), "cell")
            fail(path, rows.line_num, f"{cells} under {counted(len(names), 'column')}; mend it")
        for name, cell in zip(names, row, strict=True):
            if name not in _texts() and cell.strip() and not _is_number(cell, text.decimal_point):
                fail(path, rows.line_num, f"{name} is '{cell.strip()}', not a number; mend it")
    if rows.line_num == 1:
        fail(path, 2, "there is no row after the header; add one for each clip or frame")
    raise UserError(f"{path}: not a CSV file ({complaint.splitlines()[0]}); save it as one")


def _is_number(text: str, point: str) -> bool:
    if point != "." and "." in text:
        return False
    try:
        float(text.replace(point, "."))
    except ValueError:
        return False
    return "_" not in text


def _ids(columns: Columns, path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Ids in order of first appearance, and which of them each row (R,) is of."""
    ids, index = coded(columns["id"])
    endings = VIDEO_SUFFIXES | SOUND_SUFFIXES
    for code, name in enumerate(ids):
        ending = Path(name).suffix.lower()
        if not name or "/" in name or ending in endings:
            line = 2 + int(np.argmax(index == code))
            fail(
                path, line, f"the id is '{name}'; it must be a file's name without path and ending"
            )
    return ids, index


def _places(columns: Columns, ids: tuple[str, ...], index: np.ndarray, path: Path) -> Places:
    """Where each row belongs in its clip."""
    if "time" in columns:
        times, given = numbers_of(columns["time"])
        return time_places(ids, index, times, given, path)
    numbers, given = np.zeros(len(index)), np.zeros(len(index), bool)
    if "frame" in columns:
        numbers, given = numbers_of(columns["frame"])
    return frame_places(ids, index, numbers, given, path)


def _of_ids(columns: Columns, name: str, keys: FrameKeys, path: Path) -> dict[str, str]:
    """What a column says of each id, in all of its rows alike; empty without the column."""
    if name not in columns:
        return {}
    texts, codes = coded(columns[name])
    _, first = np.unique(keys.index, return_index=True)
    same = codes == codes[first][keys.index]
    require(same, path, f"the {name} is not that of the clip's rows before; mend one of them")
    return dict(zip(keys.ids, [texts[code] for code in codes[first]], strict=True))


def _splits(columns: Columns, keys: FrameKeys, path: Path) -> dict[str, str]:
    """Split of each id, `train` where the table says nothing."""
    splits = _of_ids(columns, "split", keys, path)
    for code, name in enumerate(keys.ids):
        split = splits.get(name)
        if split and split not in SPLITS:
            line = 2 + int(np.argmax(keys.index == code))
            fail(path, line, f"the split is '{split}'; it must be {', '.join(SPLITS)} or empty")
    return {name: splits.get(name) or "train" for name in keys.ids}


def _of_clip(labels: FrameLabels, places: Places, rows: np.ndarray) -> FrameLabels:
    """Labels of the clip that has the given rows, at frames or at times."""
    frames, times = places.keys.frame, places.times
    if times is not None:
        rows = rows[np.argsort(frames[rows])]
    own = labels.at(rows)
    if frames[rows[0]] == WHOLE:
        return ClipLabels(len(own), own.by_task)
    if times is not None:
        return TimedLabels(len(own), own.by_task, times=times[rows])
    return own.spread(frames[rows] - 1)
