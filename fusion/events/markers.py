"""Markers: when something was shown or said to people, and how long after it events begin.

Data flow: markers.csv > Marker > latency of the first event of each kind.

    time,name            # seconds; a column `video` says which one, else they are of all
    12.5,picture 1
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.importers.text_tables import read_table_text
from fusion.events.event_list import PersonEvents


@dataclass(frozen=True)
class Marker:
    """A moment.

    Attributes:
        time: Seconds.
        name: What happened.
        video: Id; empty: of all videos.
    """

    time: float
    name: str
    video: str = ""


@dataclass(frozen=True)
class Latency:
    """How long after a marker an event began.

    Attributes:
        clip, video, person: Who.
        marker: What happened.
        time: When, seconds.
        event: Name.
        latency: Seconds to the first onset from the marker until the next one; NaN: none came.
    """

    clip: str
    video: str
    person: str
    marker: str
    time: float
    event: str
    latency: float


def read_markers(path: Path) -> tuple[Marker, ...]:
    """Markers in order of time.

    Raises:
        UserError: If there is no such file, or a line is not as above; says which.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of markers")
    table = read_table_text(path)
    if not {"time", "name"} <= set(table.header):
        head = table.separator.join(table.header)
        raise UserError(f"{path}: columns 'time' and 'name' were expected, not '{head}'")
    point = table.decimal_point
    found = (_marker(path, line, row, point) for line, row in table.rows())
    return tuple(sorted(found, key=lambda marker: marker.time))


def _marker(path: Path, line: int, row: dict[str, str], point: str) -> Marker:
    try:
        time = float(row["time"].replace(point, "."))
    except ValueError:
        time = math.nan
    if not math.isfinite(time) or not row["name"]:
        raise UserError(
            f"{path}, line {line}: a time in seconds and a name were expected, not"
            f" '{row['time']}' and '{row['name']}'"
        )
    return Marker(time, row["name"], row.get("video", ""))


def latencies(person: PersonEvents, markers: Iterable[Marker]) -> list[Latency]:
    """Of each marker of the video and each event that is looked for."""
    table = person.table
    own = [marker for marker in markers if marker.video in ("", table.video)]
    found = []
    for number, marker in enumerate(own):
        later = [other.time for other in own[number + 1 :] if other.time > marker.time]
        until = later[0] if later else np.inf
        for name in person.known:
            onsets = [each.onset for each in person.events if each.name == name]
            who = (table.id, table.video, table.person, marker.name, marker.time, name)
            found.append(Latency(*who, _first(onsets, marker.time, until)))
    return found


def _first(onsets: Sequence[float], start: float, until: float) -> float:
    return next((onset - start for onset in sorted(onsets) if start <= onset < until), np.nan)
