"""The index of many pages: a row for each clip and person. Data flow: person, truth > Row > HTML.

A row tells how much of somebody was seen and how far it is to be trusted, the official scores where
there are labels, and shows small curves; the page sorts and searches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.metrics.official import MetricAccumulator
from fusion.reporting.page.contents import quality_of
from fusion.reporting.page.lane import Lane
from fusion.reporting.page.lanes import lanes_of
from fusion.reporting.timelines.grouping import Groups
from fusion.tasks.labels import FrameLabels
from fusion.tasks.scoring.interface import LATEST

POINTS, SPARKS = 72, 3
"""Points of a small curve, and most of them in a row."""


@dataclass(frozen=True)
class Row:
    """One clip and person.

    Attributes:
        page: Name of the file of the clip's page.
        video, person: Ids.
        seconds: How long.
        seen: Share of frames with a face.
        quality: Mean of how far frames are to be trusted; None if nothing tells.
        scores: Official ones of this clip alone, by name; empty without labels.
        sparks: Small curves.
    """

    page: str
    video: str
    person: str
    seconds: float
    seen: float
    quality: float | None
    scores: Mapping[str, float] = field(default_factory=dict)
    sparks: Sequence[dict[str, Any]] = ()


def row_of(page: str, said: FramePredictions, truth: FrameLabels | None) -> Row:
    """The row of a person; truth has a row for each frame."""
    labels = truth or FrameLabels(len(said))
    lanes = lanes_of(said, FrameLabels(len(said))) if len(said) else []
    sparks = [spark for lane in lanes if (spark := _spark(lane, said.times))]
    return Row(
        page,
        said.video,
        said.id,
        float(said.times[-1] - said.times[0]) if len(said) else 0.0,
        float(said.face.mean()) if len(said) else 0.0,
        quality_of(said),
        scores_of(said, labels),
        sparks[:SPARKS],
    )


def scores_of(said: FramePredictions, labels: FrameLabels) -> dict[str, float]:
    """Scores of one clip by the names that tell good clips from bad."""
    if not labels.tasks():
        return {}
    metrics = MetricAccumulator(said.tasks)
    metrics.add(labels.of_tasks(list(said.tasks)), said.values, said.thresholds)
    found: dict[str, float] = {}
    for name, statistics in metrics.statistics.items():
        task = said.tasks[name]
        scores = task.clip_scores(statistics, metrics.rules(name, LATEST))
        found |= {key: scores[key] for key in task.measures if np.isfinite(scores.get(key, np.nan))}
    return found


def _spark(lane: Lane, times: np.ndarray) -> dict[str, Any] | None:
    """A small curve of each value, or a ribbon of classes; none of a heat map."""
    groups = Groups.of(times, POINTS)
    if lane.kind == "classes":
        (said,) = [one.values for one in lane.series if one.role == "said"]
        codes = said.astype(np.int64)
        number = len(lane.classes)
        ribbon = groups.most_frequent(codes, np.ones(len(codes), bool), number)
        colours = [colour for _, colour in lane.classes]
        return {"title": lane.title, "ribbon": ribbon.tolist(), "colours": colours}
    if lane.kind == "heat":
        return None
    curves = []
    for one in lane.series:
        if one.role == "value":
            known = np.isfinite(one.values)
            mean = groups.mean(np.where(known, one.values, 0.0), known)
            low, high = one.column.low, one.column.high
            low = float(mean.min() or 0) if low is None else low
            high = float(mean.max() or 1) if high is None else high
            shares = np.ma.round(100 * (mean - low) / ((high - low) or 1.0))
            curves.append({"name": one.column.name, "colour": one.colour, "at": shares.tolist()})
    return {"title": lane.title, "curves": curves} if curves else None


def index_data(rows: Sequence[Row]) -> dict[str, Any]:
    """Plain data of the index."""
    scores = list(dict.fromkeys(name for row in rows for name in row.scores))
    return {"scores": scores, "rows": [vars(row) | {"scores": dict(row.scores)} for row in rows]}
