"""OpenFace 2: `ID_openface.csv`, its names for what we have and none for what we have not.

Data flow: units' probabilities and decisions > `frame, face_id, timestamp, confidence, success`,
`AUxx_c` (presence, 0 or 1) and, under a name of our own, `AUxx_p` (probability).

There is no intensity (`AUxx_r`), gaze, landmarks or pose in it: intensity is nothing that was
learnt, and OpenFace's angles are those of a camera model.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.exports.base import ExportPerson, ExportVideo, Format
from fusion.tables.frame_table import FrameTable

UNIT = re.compile(r"([A-Z]{2})(\d{1,2})(?:_p)?")
"""A unit with its number, as a task or a measure calls its probability."""
PRESENT = 0.5
"""Least probability of presence where no threshold was chosen."""


class OpenFace(Format):
    """One table a person, one row a frame; face_id counts the people of the video."""

    name, purpose = "openface", "tools for OpenFace 2 (AUxx_c, and our AUxx_p)"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a person.

        Raises:
            UserError: If nobody has action units.
        """
        if not any(units_of(person.frames) for person in video.people):
            raise UserError(f"{video.video}: no action units in it; format openface needs them")
        return [self._one(person, number, folder) for number, person in enumerate(video.people)]

    def _one(self, person: ExportPerson, number: int, folder: Path) -> Path:
        table = person.frames
        units = units_of(table)
        presence = [f"{unit}_c" for unit in units]
        names = ["frame", "face_id", "timestamp", "confidence", "success", *presence]
        columns = [np.where(table.validity > 0, table.validity, 0)]
        columns += [*(present(table, name) for name in units.values())]
        columns += [*(table.values[name] for name in units.values())]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([*names, *(f"{unit}_p" for unit in units)])
        for frame, (time, face, row) in enumerate(
            zip(table.times, table.face, np.stack(columns, 1), strict=True), 1
        ):
            confidence, *rest = row
            on, probabilities = rest[: len(units)], rest[len(units) :]
            start = [frame, number, f"{time:.6f}", f"{confidence:.3f}", int(face)]
            shown = ["" if np.isnan(each) else int(each) for each in on]
            shares = ["" if np.isnan(each) else f"{each:.4f}" for each in probabilities]
            writer.writerow([*start, *shown, *shares])
        path = folder / f"{table.id}_openface.csv"
        write_atomically(path, buffer.getvalue().encode())
        return path


def units_of(table: FrameTable) -> dict[str, str]:
    """OpenFace's stem of each unit, e.g. two letters and 01, to our column; a measure's wins."""
    found: dict[str, str] = {}
    for name in table.values:
        match = UNIT.fullmatch(name)
        if match:
            found[f"{match[1]}{int(match[2]):02d}"] = name
    return dict(sorted(found.items()))


def present(table: FrameTable, name: str) -> np.ndarray:
    """(F,) 1 or 0, NaN where unknown: by the threshold that was chosen, else at one half."""
    chosen = table.values.get(f"{name}_on")
    values = table.values[name]
    on = values >= PRESENT if chosen is None else chosen == 1
    return np.where(np.isnan(values), np.nan, on)
