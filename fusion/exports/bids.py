"""BIDS: events and frame-level columns of each person, with sidecars that say what they are.

    bids/dataset_description.json
    bids/sub-ANNA/beh/sub-ANNA_task-TALK_events.tsv, .json
    bids/sub-ANNA/beh/sub-ANNA_task-TALK_recording-affect_physio.tsv.gz, .json

A physio file has one sampling frequency: at each tick stands the frame that is shown then, at the
clip's median frame rate. Where frame rates vary, ticks are not frames; the events keep the clock.
"""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.events.tables import write_rows
from fusion.exports.base import ExportPerson, ExportVideo, Format
from fusion.tables.frame_table import FrameTable

VERSION = "1.10.0"
EVENT_COLUMNS = {
    "onset": {"Description": "Start of the event from that of the video", "Units": "s"},
    "duration": {"Description": "How long it lasts", "Units": "s"},
    "trial_type": {"Description": "What happens"},
    "peak": {"Description": "Extreme of what the rule compares"},
    "mean": {"Description": "Its mean over time"},
    "validity": {"Description": "How far the face is to be trusted, 0 to 1"},
    "source": {"Description": "By a rule, or marked by hand", "Levels": {"rule": "", "review": ""}},
}


class Bids(Format):
    """Files of the modality `beh` for each person and video."""

    name, purpose = "bids", "BIDS (_events.tsv, _physio.tsv.gz with sidecars)"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """Four files a person, and the description of the data set.

        Raises:
            UserError: If two people, or a name without a letter or digit, get one label.
        """
        root, files = folder / "bids", list[Path]()
        task = label(video.video)
        owners: dict[str, str] = {}
        for person in video.people:
            subject = label(person.name)
            if owners.setdefault(subject, person.name) != person.name:
                raise UserError(
                    f"{video.video}: '{person.name}' and '{owners[subject]}' are both"
                    f" sub-{subject}, since BIDS has letters and digits only; rename one"
                )
            stem = root / f"sub-{subject}" / "beh" / f"sub-{subject}_task-{task}"
            files += self._events(person, stem) + self._frames(person, stem)
        described = {"Name": "affuse", "BIDSVersion": VERSION, "DatasetType": "derivative",
                     "GeneratedBy": [{"Name": "affuse"}]}  # fmt: skip
        return [*files, _write_json(root / "dataset_description.json", described)]

    def _events(self, person: ExportPerson, stem: Path) -> list[Path]:
        rows = [
            {**vars(event), "duration": event.duration, "trial_type": event.name}
            for event in person.found.events
        ]
        shown = [{key: _known(row[key]) for key in EVENT_COLUMNS} for row in rows]
        path = stem.with_name(f"{stem.name}_events.tsv")
        return [
            write_rows(path, tuple(EVENT_COLUMNS), shown, "\t"),
            _write_json(path.with_suffix(".json"), EVENT_COLUMNS),
        ]

    def _frames(self, person: ExportPerson, stem: Path) -> list[Path]:
        table = person.frames
        if not len(table):
            return []
        rate = round(1 / float(np.median(table.durations)), 6)
        ticks = frames_shown(table, rate)
        rows = np.stack([values[ticks] for values in table.values.values()], 1)
        text = io.StringIO()
        for row in rows:
            text.write("\t".join(str(_known(float(each))) for each in row) + "\n")
        path = stem.with_name(f"{stem.name}_recording-affect_physio.tsv.gz")
        write = {
            "SamplingFrequency": rate,
            "StartTime": float(table.times[0]),
            "Columns": list(table.values),
            **{name: _described(table, name) for name in table.values},
        }
        write_path = _write_bytes(path, gzip.compress(text.getvalue().encode(), mtime=0))
        return [write_path, _write_json(path.with_suffix("").with_suffix(".json"), write)]


def label(name: str) -> str:
    """A name as BIDS has them: letters and digits.

    Raises:
        UserError: If it has none.
    """
    found = re.sub(r"[^0-9a-zA-Z]", "", name)
    if not found:
        raise UserError(f"'{name}' has no letter or digit that BIDS allows; rename it in a review")
    return found


def frames_shown(table: FrameTable, rate: float) -> np.ndarray:
    """(N,) index of the frame that is shown at each tick of a regular clock, at least one."""
    start, end = float(table.times[0]), float(table.ends[-1])
    ticks = start + np.arange(max(round((end - start) * rate), 1)) / rate
    return np.maximum(np.searchsorted(table.times, ticks + 1e-6, side="right") - 1, 0)


def _described(table: FrameTable, name: str) -> dict[str, Any]:
    column = table.about[name]
    found = {"Description": column.meaning or name, "Origin": column.origin}
    if column.unit:
        found["Units"] = column.unit
    return found


def _known(value: Any) -> Any:
    """BIDS writes what is missing as n/a."""
    if not isinstance(value, float):
        return value
    return "n/a" if np.isnan(value) else float(f"{value:.6f}")


def _write_json(path: Path, said: dict[str, Any]) -> Path:
    return _write_bytes(path, json.dumps(said, indent=1, ensure_ascii=False).encode())


def _write_bytes(path: Path, data: bytes) -> Path:
    write_atomically(path, data)
    return path
