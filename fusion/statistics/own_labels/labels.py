"""People's own labels of clips, from ELAN, BORIS or CSV.

Data flow: files > spans with a name, and values over time > those of each person in a clip.

A file is of the clip, or video, that is its name, unless a column `clip`, `video` or BORIS'
`Observation id` says another. Spans: `onset, offset, name` (or `start, end, label`, or BIDS'
`onset, duration, trial_type`). Values over time: `time` and a column each. Who: a column `person`
or `Subject`, in ELAN the participant of a tier; it may be left out where one person is in a video.

Spans named `labelled` say which stretches were looked through; without any it is the whole clip.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import UserError
from features.importers.text_tables import read_table_text
from fusion.tables.extras import needed

DECIMAL_COMMA = r"^([+-]?\d*),(\d+)$"
ENDINGS = (".eaf", ".csv", ".tsv", ".txt")
LABELLED = "labelled"
BORIS = {"Behavior": "name", "Subject": "person", "Observation id": "clip"}
SAME = {
    "start": "onset",
    "end": "offset",
    "label": "name",
    "trial_type": "name",
    "participant_id": "person",
}
"""Other names of columns."""


@dataclass(frozen=True)
class Span:
    """A name from `start` to `end`, seconds."""

    start: float
    end: float
    name: str


@dataclass
class Labels:
    """Labels of one person, or of whoever is alone, in a clip.

    Attributes:
        path: Where they stand.
        clip: Id of a clip or a video.
        person: Name; empty: not said.
        spans: In no order.
        series: Column to its values over time, `(time, value)`; values are numbers or names.
    """

    path: Path
    clip: str
    person: str
    spans: list[Span] = field(default_factory=list)
    series: dict[str, list[tuple[float, object]]] = field(default_factory=dict)


def read_labels(path: Path) -> list[Labels]:
    """Labels of a file, or of all files of a folder.

    Raises:
        UserError: If there is none, or one makes no sense.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of labels")
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS)
    if not files:
        raise UserError(f"{path}: no labels in it ({', '.join(ENDINGS)})")
    return [each for file in files for each in _of_file(file)]


def _of_file(path: Path) -> list[Labels]:
    return _of_elan(path) if path.suffix.lower() == ".eaf" else _of_table(path)


def _of_elan(path: Path) -> list[Labels]:
    pympi = needed("pympi", "labels of ELAN", "exports")
    try:
        document = pympi.Elan.Eaf(path)
    except Exception as error:  # what pympi raises of a file that it cannot read
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{path}: no annotations of ELAN ({cause}); save it anew") from error
    found: dict[str, Labels] = {}
    for tier in document.get_tier_names():
        person = document.get_parameters_for_tier(tier).get("PARTICIPANT") or ""
        own = found.setdefault(person, Labels(path, path.stem, person))
        for start, end, name, *_ in document.get_annotation_data_for_tier(tier):
            own.spans.append(Span(start / 1000, end / 1000, name.strip()))
    return list(found.values())


def _of_table(path: Path) -> list[Labels]:
    text = read_table_text(path)
    try:
        table = pd.read_csv(text.lines, sep=text.separator, dtype=str).fillna("")
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: no table ({' '.join(str(error).split())})") from error
    if text.decimal_point == ",":
        table = table.replace(DECIMAL_COMMA, r"\1.\2", regex=True)
    if {"Behavior", "Start (s)", "Stop (s)"} <= set(table):
        table = table.rename(columns={**BORIS, "Start (s)": "onset", "Stop (s)": "offset"})
    elif {"Behavior", "Behavior type", "Time"} <= set(table):
        table = _paired(path, table.rename(columns={**BORIS, "Behavior type": "type"}))
    table = table.rename(columns={k: v for k, v in SAME.items() if v not in table})
    if "duration" in table and "offset" not in table and "onset" in table:
        ends = _numbers(path, table, "onset") + _numbers(path, table, "duration")
        table["offset"] = ends.map(repr)
    if {"onset", "offset", "name"} <= set(table):
        return _spans(path, table)
    if "time" in table and len(table.columns) > 1:
        return _series(path, table)
    raise UserError(
        f"{path}: columns 'onset', 'offset' and 'name', or 'time' and others, were expected, not"
        f" {', '.join(map(str, table))}"
    )


def _paired(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """BORIS' single events: each START with the next STOP of the behaviour; POINT is both."""
    rows, open_at = [], dict[tuple[str, ...], str]()
    for row in table.to_dict("records"):
        key = tuple(str(row.get(name, "")) for name in ("clip", "person", "name"))
        kind, time = str(row["type"]).upper(), str(row["Time"])
        if kind == "START":
            open_at[key] = time
        elif kind == "POINT" or key in open_at:
            rows.append({**row, "onset": open_at.pop(key, time), "offset": time})
        else:
            raise UserError(f"{path}: '{key[-1]}' stops at {time} s without a start")
    if open_at:
        raise UserError(f"{path}: '{next(iter(open_at))[-1]}' starts and never stops")
    return pd.DataFrame(rows, columns=[*table.columns, "onset", "offset"])


def _spans(path: Path, table: pd.DataFrame) -> list[Labels]:
    starts, ends = _numbers(path, table, "onset"), _numbers(path, table, "offset")
    found: dict[tuple[str, str], Labels] = {}
    for row, start, end in zip(table.to_dict("records"), starts, ends, strict=True):
        if end < start:
            raise UserError(f"{path}: '{row['name']}' ends at {end:g} s before it begins")
        _own(found, path, row).spans.append(Span(start, end, str(row["name"]).strip()))
    return list(found.values())


def _series(path: Path, table: pd.DataFrame) -> list[Labels]:
    times = _numbers(path, table, "time")
    names = [n for n in table if n not in ("time", "clip", "video", "person", "frame")]
    found: dict[tuple[str, str], Labels] = {}
    for row, time in zip(table.to_dict("records"), times, strict=True):
        own = _own(found, path, row)
        for name in names:
            if row[name] != "":
                own.series.setdefault(str(name), []).append((time, _value(str(row[name]))))
    return list(found.values())


def _own(found: dict[tuple[str, str], Labels], path: Path, row: dict[Any, Any]) -> Labels:
    clip = str(row.get("clip") or row.get("video") or path.stem)
    person = str(row.get("person") or "")
    return found.setdefault((clip, person), Labels(path, clip, person))


def _numbers(path: Path, table: pd.DataFrame, name: str) -> pd.Series:
    found = pd.to_numeric(table[name], errors="coerce")
    bad = found.isna() | ~found.map(math.isfinite)
    if bad.any():
        line = int(bad.to_numpy().argmax())
        raise UserError(f"{path}, row {line + 1}: '{table[name].iloc[line]}' is no {name}")
    return found


def _value(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text.strip()
