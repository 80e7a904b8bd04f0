"""One person in one video as columns on the clock, whatever the tasks and measures are.

Data flow: FramePredictions > FrameTable > formulas and events, statistics, files of others.

Letters: F frames.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.tables.weighting import durations
from fusion.tasks.base import Task
from fusion.tasks.measuring.measures import Column

HEARD = frozenset({"speech", "voice"})
"""Measures that rest on the sound alone: whether a face was seen does not matter to them."""
SPEECH = "speech"
"""Column that says how probable it is that somebody speaks."""
VOCAL = "vocal_"
"""Names of columns that a voice alone can tell begin so; where nobody speaks they mean nothing."""
SPOKEN = 0.5
"""Probability from which somebody speaks."""
VALIDITY = "validity"
"""Column that says how far the face of a frame is to be trusted; `face` stands in for it."""
ON_OR_OFF = "on or off"
"""Unit of columns that are 0 or 1 and so conditions."""


@dataclass(frozen=True)
class Classes:
    """One class a frame.

    Attributes:
        names: Of the classes.
        codes: (F,) int64, index into the names; -1: none.
    """

    names: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class FrameTable:
    """Columns of one person in one video.

    Attributes:
        id: Of the predictions.
        video: Id of the video.
        person: Name that people read.
        times: (F,) float64, seconds, strictly rising.
        durations: (F,) float64, seconds that a frame counts.
        face: (F,) bool, whether a face was seen.
        validity: (F,) float64 in [0, 1], how far the face is to be trusted.
        about: Column by name: meaning, unit, range, origin.
        values: (F,) float32 or float64 by column, NaN where there is no value.
        classes: By name, e.g. of the expression.
        heard: Columns that rest on the sound alone.
        told: Columns that a task tells as values.
        made_by: What made the predictions.
    """

    id: str
    video: str
    person: str
    times: np.ndarray
    durations: np.ndarray
    face: np.ndarray
    validity: np.ndarray
    about: Mapping[str, Column]
    values: Mapping[str, np.ndarray]
    classes: Mapping[str, Classes]
    heard: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    made_by: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def ends(self) -> np.ndarray:
        """(F,) seconds at which a frame ends."""
        return self.times + self.durations

    @property
    def seconds(self) -> float:
        """How long it lasts, pauses not counted."""
        return float(self.durations.sum())

    def where(self, keep: np.ndarray, columns: frozenset[str] | None = None) -> "FrameTable":
        """Without the values of frames that are not kept (F,); None: of all columns."""
        chosen = frozenset(self.values) if columns is None else columns
        return replace(
            self,
            values={
                name: np.where(keep, values, np.nan) if name in chosen else values
                for name, values in self.values.items()
            },
            classes={
                name: replace(each, codes=np.where(keep, each.codes, -1))
                for name, each in self.classes.items()
            },
        )

    def trusted(self, least: float) -> "FrameTable":
        """Without what is said of frames whose face is less valid than `least`; sound stays.

        Frames without a face have validity 0; with `least` 0 all stay.
        """
        seen = frozenset(self.values) - self.heard - {VALIDITY}
        return self.where(self.validity >= least, seen) if least > 0 else self

    def weights(self, name: str, by_quality: bool) -> np.ndarray:
        """(F,) seconds that frames count for a column, times their validity if `by_quality`."""
        if not by_quality or name in self.heard or name == VALIDITY:
            return self.durations
        return self.durations * self.validity

    def only(self, names: Collection[str | None]) -> "FrameTable":
        """With these columns alone."""
        kept = {name: values for name, values in self.values.items() if name in names}
        return replace(self, values=kept)

    def is_value(self, name: str) -> bool:
        """Whether a column is what a task tells as a value, or follows from others by a formula."""
        return name in self.told or (name in self.about and self.about[name].origin == "derived")

    def plus(self, column: Column, values: np.ndarray, *, heard: bool = False) -> "FrameTable":
        """With one more column (F,)."""
        about, held = {**self.about, column.name: column}, {**self.values, column.name: values}
        sound = self.heard | {column.name} if heard else self.heard
        return replace(self, about=about, values=held, heard=sound)


def table_of(p: FramePredictions) -> FrameTable:
    """The columns of a file of predictions, named as there."""
    about: dict[str, Column] = {}
    values: dict[str, np.ndarray] = {}
    for name, task in p.tasks.items():
        for column, row in zip(_columns(task), p.values[name].T, strict=True):
            about[column.name], values[column.name] = column, row
        if task.kind == "binary":
            for one, on in zip(task.columns, p.decided(name).T, strict=True):
                about[f"{one}_on"] = Column(f"{one}_on", f"Whether {one} is on", ON_OR_OFF, 0, 1)
                values[f"{one}_on"] = on.astype(np.float32)
    for measure in p.measures.values():
        for column, row in zip(measure.columns, measure.values.T, strict=True):
            about[column.name], values[column.name] = column, row
    heard = {name for m, one in p.measures.items() if m in HEARD for name in one.names}
    vocal = {name for name in values if name.startswith(VOCAL)}
    if SPEECH in values:
        values |= {name: np.where(values[SPEECH] >= SPOKEN, values[name], np.nan) for name in vocal}
    validity = np.nan_to_num(values.get(VALIDITY, np.ones(len(p))).astype(np.float64)) * (
        1.0 if VALIDITY in values else p.face
    )
    return FrameTable(
        id=p.id,
        video=p.video,
        person=p.id,
        times=p.times,
        durations=durations(p.times),
        face=p.face,
        validity=validity,
        about=about,
        values=values,
        classes={
            getattr(task, "label_column", "") or name: Classes(task.columns, p.decided(name))
            for name, task in p.tasks.items()
            if task.kind == "classes"
        },
        heard=frozenset(heard | vocal),
        told=frozenset(
            column for task in p.tasks.values() if task.kind == "values" for column in task.columns
        ),
        made_by=p.provenance,
    )


def _columns(task: Task) -> list[Column]:
    low, high = task.value_range()
    what = "" if task.kind == "values" else "Probability of "
    return [Column(name, f"{what}{name}", "", low, high) for name in task.columns]
