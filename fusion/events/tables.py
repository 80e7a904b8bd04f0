"""Tables of events as files: every event, counts of each kind, latencies.

Data flow: PersonEvents > rows > events.tsv, counts.csv, latencies.csv.

Times are seconds of the clip; what is not there is empty.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from features.store.atomic_file import write_atomically
from fusion.events.event_list import Event, PersonEvents
from fusion.events.markers import Latency

EVENT_COLUMNS = tuple(field.name for field in fields(Event))
LATENCY_COLUMNS = tuple(field.name for field in fields(Latency))
COUNT_COLUMNS = (
    *("clip", "video", "person", "name", "count", "per_minute", "seconds", "share"),
    *("mean_duration", "median_duration", "longest", "observed"),
)


def event_rows(people: Iterable[PersonEvents]) -> list[dict[str, Any]]:
    """One row an event."""
    return [asdict(event) for person in people for event in person.events]


def count_rows(people: Iterable[PersonEvents]) -> list[dict[str, Any]]:
    """One row a person, video and kind of event, also where there was none.

    Rates and shares are of the time in which the rule could be told (`observed`, seconds).
    """
    found = []
    for person in people:
        for name, observed in person.observed.items():
            own = [event for event in person.events if event.name == name]
            lasting = np.array([event.duration for event in own])
            table = person.table
            found.append(
                {
                    "clip": table.id,
                    "video": table.video,
                    "person": table.person,
                    "name": name,
                    "count": len(own),
                    "per_minute": len(own) / observed * 60 if observed else math.nan,
                    "seconds": float(lasting.sum()),
                    "share": min(float(lasting.sum()) / observed, 1.0) if observed else math.nan,
                    "mean_duration": float(lasting.mean()) if len(own) else math.nan,
                    "median_duration": float(np.median(lasting)) if len(own) else math.nan,
                    "longest": float(lasting.max()) if len(own) else math.nan,
                    "observed": observed,
                }
            )
    return found


def write_rows(
    path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]], separator: str = ","
) -> Path:
    """Writes a table whole or not at all; numbers to a millionth, NaN empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_shown(row.get(column)) for column in columns] for row in rows)
    write_atomically(path, buffer.getvalue().encode())
    return path


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}".rstrip("0").rstrip(".") or "0"
    return "" if value is None else value
