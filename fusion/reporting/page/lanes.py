"""What a page shows of a person over time. Data flow: tasks, measures, truth > Lane > its numbers.

Tasks are drawn by their kind: a line for each value, classes as stacked probabilities with ribbons
of what is said and what is true, on-or-off vectors as a heat map. Measures are drawn by their
columns: many shares are a heat map, others lines. Uncertainties are bands of the columns they are
of, corrected columns stand in for theirs at a switch; places in the picture have no lane.

Letters: C columns, F frames.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.measuring.readings import BOX, SPEECH
from fusion.measuring.words import while_spoken
from fusion.reporting.page.lane import Lane, Role, Series
from fusion.reporting.timelines.lanes import PALETTE, colours_of
from fusion.tasks.base import Task
from fusion.tasks.labels import FrameLabels
from fusion.tasks.measuring.measures import Column

PLACES = (BOX, "landmarks")
"""Measures of where something is in the picture."""
MANY, TOGETHER = 5, 3
"""Shares from which on they are a heat map; most lines of a lane."""


def lanes_of(said: FramePredictions, truth: FrameLabels) -> list[Lane]:
    """All lanes of a person, tasks first; truth has a row for each frame."""
    more = {c.name: (c, v) for c, v in _columns(said)}
    lanes: list[Lane] = []
    for task in said.tasks.values():
        if task.drawn:
            lanes += KINDS[task.kind](task, said, truth, more)
    taken = {lane.title for lane in lanes}
    for name, measure in said.measures.items():
        if name not in PLACES:
            title = f"{measure.heading} ({name})" if measure.heading in taken else measure.heading
            lanes += _of_measure(name, title, measure.columns, measure.values, more)
    return lanes


def _columns(said: FramePredictions) -> Iterator[tuple[Column, np.ndarray]]:
    for measure in said.measures.values():
        yield from zip(measure.columns, measure.values.T, strict=True)


More = Mapping[str, tuple[Column, np.ndarray]]


def _beside(name: str, of: int, colour: str, more: More) -> list[Series]:
    """Uncertainty and corrected form of a column, if there are such."""
    found: list[Series] = []
    roles: tuple[tuple[str, str, Role], ...] = (
        ("sd", "uncertainty", "spread"),
        ("bc", "corrected", "corrected"),
    )
    for ending, origin, role in roles:
        column, values = more.get(f"{name}_{ending}", (None, None))
        if column is not None and values is not None and column.origin == origin:
            found.append(Series(column, values, role, of, colour))
    return found


def _values(task: Task, said: FramePredictions, truth: FrameLabels, more: More) -> list[Lane]:
    low, high = task.value_range()
    true, lanes = task.labels_in(truth), list[Lane]()
    mask = true.mask if true.mask.ndim == 2 else true.mask[:, None]
    mask = np.broadcast_to(mask, true.values.shape)
    apart = bool(mask.any()) or len(task.names) > TOGETHER
    for i, (name, colour) in enumerate(zip(task.names, colours_of(task), strict=True)):
        place = 0 if apart else i
        column = Column(
            task.columns[i], f"{task.heading}: {name}, as the model says", "", low, high
        )
        told = while_spoken(task.names[i], said.values[task.name][:, i], said)
        series = [Series(column, told, "value", place, colour)]
        series += _beside(task.columns[i], place, colour, more)
        if mask[:, i].any():
            label = Column(name, f"{name} as labelled", "", low, high, "measured")
            values = np.where(mask[:, i], true.values[:, i], np.nan)
            series.append(Series(label, values, "truth", place, colour))
        lanes.append(Lane(f"{task.name}.{name}", name, "lines", series))
    if apart:
        return lanes
    every = [one for lane in lanes for one in lane.series]
    return [Lane(task.name, task.heading, "lines", every)] if lanes else []


def _classes(task: Task, said: FramePredictions, truth: FrameLabels, more: More) -> list[Lane]:
    colours = colours_of(task)
    series = [
        Series(Column(column, f"probability of {name}", "", 0, 1), values, "value", i, colour)
        for i, (column, name, colour, values) in enumerate(
            zip(task.columns, task.names, colours, said.values[task.name].T, strict=True)
        )
    ]
    decided = Column(task.thing, f"{task.thing} that the model decides for")
    series.append(Series(decided, said.decided(task.name).astype(float), "said"))
    true = task.labels_in(truth)
    if true.mask.any():
        label = Column(f"true {task.thing}", f"{task.thing} as labelled", origin="measured")
        series.append(Series(label, np.where(true.mask, true.values, np.nan), "truth"))
    named = list(zip(task.names, colours, strict=True))
    return [Lane(task.name, task.heading, "classes", series, named)]


def _binary(task: Task, said: FramePredictions, truth: FrameLabels, more: More) -> list[Lane]:
    limits = said.thresholds.get(task.name, np.full(len(task.names), 0.5))
    true, series = task.labels_in(truth), list[Series]()
    mask = true.mask if true.mask.ndim == 2 else true.mask[:, None]
    mask = np.broadcast_to(mask, true.values.shape)
    for i, name in enumerate(task.names):
        column = Column(name, f"probability of {name}; on from {limits[i]:.2f}", "", 0, 1)
        values = said.values[task.name][:, i]
        series.append(Series(column, values, "value", i, threshold=float(limits[i])))
    for i, name in enumerate(task.names):
        if mask[:, i].any():
            label = Column(name, f"{name} as labelled", "", 0, 1, "measured")
            values = np.where(mask[:, i], true.values[:, i], np.nan)
            series.append(Series(label, values, "truth", i))
    return [Lane(task.name, task.heading, "heat", series)]


KINDS = {"values": _values, "classes": _classes, "binary": _binary}


def _of_measure(
    name: str, heading: str, columns: tuple[Column, ...], values: np.ndarray, more: More
) -> list[Lane]:
    own = [
        (column, row)
        for column, row in zip(columns, values.T, strict=True)
        if column.origin not in ("uncertainty", "corrected") and column.name != SPEECH
    ]
    if len(own) >= MANY and all((c.low, c.high) == (0, 1) for c, _ in own):
        series = [Series(column, row, "value", i) for i, (column, row) in enumerate(own)]
        beside = [x for i, (c, _) in enumerate(own) for x in _beside(c.name, i, "", more)]
        series += [one for one in beside if one.role == "corrected"]
        return [Lane(name, heading, "heat", series)]
    lanes: list[Lane] = []
    for _, alike in groupby(own, key=lambda one: (one[0].low, one[0].high, one[0].unit)):
        parts = list(alike)
        for first in range(0, len(parts), TOGETHER):
            lines = list[Series]()
            for i, (column, row) in enumerate(parts[first : first + TOGETHER]):
                colour = PALETTE[i]
                lines += [Series(column, row, "value", i, colour)]
                lines += _beside(column.name, i, colour, more)
            key = f"{name}.{parts[first][0].name}"
            lanes.append(Lane(key, heading, "lines", lines))
    return lanes
