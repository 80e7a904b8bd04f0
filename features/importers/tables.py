"""Features that another program computed.

Data flow: CSV, OpenFace CSV, npy or npz file > Table: values, mask, and times, frames or ids.

Letters: T rows, D feature columns.
"""

import csv
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.cli.wording import counted
from features.errors import UserError
from features.importers.text_tables import read_table_text

SUFFIXES = (".csv", ".npy", ".npz")
TIME = ("time", "timestamp", "times", "frametime", "seconds")
FRAME = ("frame", "frame_number", "frame_id")
ID = ("id", "clip", "clip_id", "video", "video_id", "name", "file", "filename")
VALID = ("valid", "success")
"""Names, in small letters, of columns that are not features."""
OPENFACE = {"frame", "timestamp", "confidence", "success"}
"""Columns by which a CSV of OpenFace 2 is known (Baltrusaitis et al. 2018)."""
OPENFACE_FEATURES = r"AU\d+_[rc]"
"""What is taken from OpenFace unless told otherwise: intensities and presences of action units."""


@dataclass(frozen=True)
class Table:
    """Rows of features as they stood in a file.

    Attributes:
        values: (T, D) float32, zero where not valid.
        valid: (T,) bool.
        columns: Names of the D columns; empty if the file names none.
        times: (T,) seconds, or None.
        frames: (T,) frame numbers, or None.
        first_frame: Number of the video's first frame in this kind of file.
        ids: One clip id a row, if the file holds one row a clip; else empty.
        lines: Lines of the rows in the file, if it is text; else empty.
    """

    values: np.ndarray
    valid: np.ndarray
    columns: list[str] = field(default_factory=list)
    times: np.ndarray | None = None
    frames: np.ndarray | None = None
    first_frame: int = 0
    ids: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def where(self, row: int) -> str:
        """Where a row stands in the file, for messages."""
        return f"line {self.lines[row]}" if self.lines else f"row {row}"


def read_table(path: Path, wanted: list[str], min_confidence: float) -> Table:
    """Reads a file of features.

    Args:
        path: The file; its suffix tells the kind.
        wanted: Regular expressions of whole column names; empty takes all (of OpenFace, the AUs).
        min_confidence: OpenFace rows below this confidence are not valid.

    Raises:
        UserError: If the file cannot be understood; names the file and, in a CSV, the line.
    """
    if path.suffix.lower() == ".csv":
        return _read_csv(path, wanted, min_confidence)
    return _read_arrays(path)


def _read_csv(path: Path, wanted: list[str], min_confidence: float) -> Table:
    sheet = _read_sheet(path)
    header = sheet.header
    openface = set(header) >= OPENFACE
    role = {name: _find(header, names) for name, names in _roles(openface).items()}
    features = _choose(path, header, role, wanted, openface)
    values, valid = _mask(sheet.numbers(features))
    for name, least in (("valid", 0.5), ("confidence", min_confidence)):
        if (index := role[name]) is not None:
            valid &= sheet.numbers([index])[:, 0] >= least
    clocks = {
        name: sheet.clock(index) for name in ("time", "frame") if (index := role[name]) is not None
    }
    return Table(
        values=np.where(valid[:, None], values, np.float32(0)),
        valid=valid,
        columns=[header[index] for index in features],
        times=clocks.get("time"),
        frames=clocks.get("frame"),
        first_frame=1 if openface else 0,
        ids=[] if clocks or role["id"] is None else sheet.ids(role["id"]),
        lines=sheet.lines,
    )


@dataclass(frozen=True)
class _Sheet:
    """Cells of a CSV file as they stand there.

    Attributes:
        path: The file.
        header: Names of the columns.
        lines: Line of each row in the file.
        rows: Cells of each row.
        point: What stands for the decimal point.
    """

    path: Path
    header: list[str]
    lines: list[int]
    rows: list[list[str]]
    point: str

    def numbers(self, indices: list[int]) -> np.ndarray:
        """Some columns as (T, len(indices)) float64; an empty cell is NaN."""
        cells = [[row[i].strip().replace(self.point, ".") for i in indices] for row in self.rows]
        try:
            return np.array([[float(cell or "nan") for cell in row] for row in cells])
        except ValueError as error:
            line, column, cell = next(
                (line, index, cell)
                for line, row in zip(self.lines, cells, strict=True)
                for index, cell in zip(indices, row, strict=True)
                if cell and not _is_number(cell)
            )
            raise UserError(
                f"{self.path}, line {line}: '{cell}' in column '{self.header[column]}' is no"
                " number; mend it, or choose other columns by --columns"
            ) from error

    def clock(self, index: int) -> np.ndarray:
        """A column of times or frame numbers (T,), all of which must be there."""
        clock: np.ndarray = self.numbers([index])[:, 0]
        if not (fine := np.isfinite(clock)).all():
            line = self.lines[int(np.argmin(fine))]
            raise UserError(f"{self.path}, line {line}: no {self.header[index]}")
        return clock

    def ids(self, index: int) -> list[str]:
        """The clip ids, which must be there and differ."""
        seen: dict[str, int] = {}
        for line, row in zip(self.lines, self.rows, strict=True):
            clip = row[index].strip()
            if not clip:
                raise UserError(f"{self.path}, line {line}: no id")
            if clip in seen:
                raise UserError(
                    f"{self.path}, line {line}: '{clip}' stands in line {seen[clip]} too;"
                    " for many rows a clip give one file a clip, with a time or frame column"
                )
            seen[clip] = line
        return list(seen)


def _read_sheet(path: Path) -> _Sheet:
    """All cells of a CSV file; UserError if it is no text, has no header, or rows do not fit."""
    text = read_table_text(path)
    header, lines, rows = text.header, list[int](), list[list[str]]()
    if not header or all(map(_is_number, header)):
        raise UserError(f"{path}, line 1: no header; name the columns, e.g. 'time,x,y'")
    reader = csv.reader(text.lines, delimiter=text.separator)
    next(reader)
    for row in reader:
        if not any(map(str.strip, row)):
            continue
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {reader.line_num}: {counted(len(row), 'cell')},"
                f" the header has {len(header)}"
            )
        lines.append(reader.line_num)
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: no rows below the header")
    return _Sheet(path, header, lines, rows, text.decimal_point)


def _roles(openface: bool) -> dict[str, tuple[str, ...]]:
    """Names of the columns that are not features; confidence is one only in OpenFace."""
    roles = {"time": TIME, "frame": FRAME, "id": ID, "valid": VALID, "confidence": (), "face": ()}
    return roles | {"confidence": ("confidence",), "face": ("face_id",)} if openface else roles


def _find(header: list[str], names: tuple[str, ...]) -> int | None:
    """Index of the first column with one of the names, in capitals or not."""
    return next((i for i, name in enumerate(header) if name.lower() in names), None)


def _choose(
    path: Path, header: list[str], role: dict[str, int | None], wanted: list[str], openface: bool
) -> list[int]:
    """Indices of the feature columns."""
    patterns = wanted or ([OPENFACE_FEATURES] if openface else [".*"])
    chosen = [
        index
        for index, name in enumerate(header)
        if index not in role.values() and any(re.fullmatch(p, name) for p in patterns)
    ]
    if not chosen:
        raise UserError(f"{path}, line 1: no column matches {patterns}; choose others by --columns")
    return chosen


def _read_arrays(path: Path) -> Table:
    """An npy file of values, or an npz file of values and, if there are, times and valid."""
    try:
        arrays = _load(path)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: not a whole {path.suffix} file of numbers ({cause})") from error
    if "values" not in arrays:
        raise UserError(f"{path}: no array 'values' among {sorted(arrays)}")
    for name, dimensions in (("values", 2), ("times", 1), ("valid", 1)):
        array = arrays.get(name)
        if array is not None and (array.ndim != dimensions or array.dtype.kind not in "biuf"):
            shape = "(T, D)" if dimensions == 2 else "(T,)"
            raise UserError(
                f"{path}: '{name}' must be {shape} numbers, not {array.shape} {array.dtype}"
            )
    values, length = arrays["values"], len(arrays["values"])
    if wrong := [name for name in ("times", "valid") if len(arrays.get(name, values)) != length]:
        rows = counted(len(arrays[wrong[0]]), "row")
        raise UserError(f"{path}: '{wrong[0]}' has {rows}, 'values' {length}")
    values, finite = _mask(values)
    valid = finite & arrays.get("valid", finite).astype(bool)
    times = arrays["times"].astype(np.float64) if "times" in arrays else None
    return Table(np.where(valid[:, None], values, np.float32(0)), valid, times=times)


def _load(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an npz file by name, or that of an npy file as `values`."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"values": loaded}
    with loaded:
        return dict(loaded)


def _mask(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, D) numbers as float32 and, (T,), which rows are whole: NaN and infinite ones are not."""
    with np.errstate(over="ignore"):
        values = numbers.astype(np.float32)
    return values, np.logical_and.reduce(np.isfinite(values), axis=1)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
