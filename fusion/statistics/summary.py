"""One row a person and clip: what is usual of columns, classes, events, how far to trust it.

Data flow: table without what is not to be trusted + events > statistics > row of summary.csv.

Frames count as long as they last. `NAME_mean` is plain, `NAME_mean_weighted` counts frames by the
validity of the face besides. A column with too little to go by is blank, and `why_blank` says so.

Letters: F frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.events.event_list import PersonEvents
from fusion.events.tables import count_rows
from fusion.tables.frame_table import SPEECH, SPOKEN, Classes, FrameTable
from fusion.tables.weighting import weighted_mean, weighted_quantiles, weighted_sd

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
WHY = "why_blank"


@dataclass(frozen=True)
class Enough:
    """What a column needs to be summarised.

    Attributes:
        share: Of the clip's time with a value, at least.
        seconds: With a value, at least.
    """

    share: float = 0.2
    seconds: float = 1.0

    def lacking(self, known: float, total: float) -> str:
        """Why there is too little; empty if there is enough.

        Args:
            known: Seconds with a value.
            total: Seconds of the clip.
        """
        if known <= 0:
            return "no valid frame"
        if known < self.seconds:
            return f"valid for less than {self.seconds:g} s"
        if known < self.share * total:
            return f"valid for less than {self.share:.0%} of the time"
        return ""


def summarised(table: FrameTable) -> list[str]:
    """Columns that have statistics.

    All but places in the picture, uncertainties, and what is less the person's own median, whose
    level says nothing of the person.
    """
    return [
        name
        for name, column in table.about.items()
        if column.unit != "px" and column.origin not in ("uncertainty", "corrected")
    ]


def row_of(found: PersonEvents, valid: float, enough: Enough) -> dict[str, Any]:
    """The row of a person in a clip.

    Args:
        found: Events, and the table without what is not to be trusted.
        valid: Share of the time in which the face is to be trusted.
        enough: What a column needs.
    """
    table = found.table
    row: dict[str, Any] = {
        "clip": table.id,
        "video": table.video,
        "person": table.person,
        "frames": len(table),
        "seconds": table.seconds,
        "face_share": weighted_mean(table.face.astype(float), table.durations),
        "valid_share": valid,
    }
    why: dict[str, list[str]] = {}
    for name in summarised(table):
        known = ~np.isnan(table.values[name])
        lacking = enough.lacking(float(table.durations[known].sum()), table.seconds)
        row |= _of_column(table, name, bool(lacking))
        if lacking:
            why.setdefault(lacking, []).append(name)
    for name, classes in table.classes.items():
        held = float(table.durations[classes.codes >= 0].sum())
        lacking = enough.lacking(held, table.seconds)
        row |= dict(_of_classes(table, name, classes, bool(lacking)))
        if lacking:
            why.setdefault(lacking, []).append(name)
    row |= _of_speech(table, bool(np.isnan(row.get(f"{SPEECH}_mean", np.nan))))
    row |= _of_events(found, enough, why)
    return {**row, WHY: "; ".join(f"{reason}: {', '.join(n)}" for reason, n in why.items())}


def _of_column(table: FrameTable, name: str, blank: bool) -> dict[str, float]:
    values, weights = table.values[name], table.weights(name, by_quality=False)
    known = ~np.isnan(values)
    share = float(weights[known].sum() / weights.sum()) if len(weights) else np.nan
    held = np.full_like(values, np.nan) if blank else values
    quantiles = weighted_quantiles(held, weights, np.array(QUANTILES))
    return {
        f"{name}_mean": weighted_mean(held, weights),
        f"{name}_mean_weighted": weighted_mean(held, table.weights(name, by_quality=True)),
        f"{name}_sd": weighted_sd(held, weights),
        **{
            f"{name}_q{round(at * 100):02d}": float(value)
            for at, value in zip(QUANTILES, quantiles, strict=True)
        },
        f"{name}_valid": share,
    }


def _of_classes(
    table: FrameTable, name: str, classes: Classes, blank: bool
) -> Iterator[tuple[str, float]]:
    """Share of the time in which there is a class, of each."""
    known = classes.codes >= 0
    for weights, ending in ((table.durations, ""), (table.durations * table.validity, "_weighted")):
        total = weights[known].sum()
        for code, class_name in enumerate(classes.names):
            share = weights[classes.codes == code].sum() / total if total and not blank else np.nan
            yield f"{name}_{class_name}_share{ending}", float(share)


def _of_speech(table: FrameTable, blank: bool) -> dict[str, float]:
    if SPEECH not in table.values:
        return {}
    values = table.values[SPEECH]
    spoken = np.where(np.isnan(values), np.nan, values >= SPOKEN)
    return {"speech_share": np.nan if blank else weighted_mean(spoken, table.durations)}


def _of_events(found: PersonEvents, enough: Enough, why: dict[str, list[str]]) -> dict[str, float]:
    row: dict[str, float] = {}
    for count in count_rows([found]):
        name, total = count["name"], found.table.seconds
        lacking = enough.lacking(count["observed"], total)
        if lacking:
            why.setdefault(lacking, []).append(f"event {name}")
        for key in ("count", "per_minute", "share", "mean_duration"):
            row[f"{name}_{key}"] = np.nan if lacking else count[key]
    return row
