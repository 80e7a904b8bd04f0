"""What encoders tell of a frame by themselves: action units, head pose, where the face is, speech.

Data flow: tracks of a person, those that the store has > aligned on the frames > Measures.

Letters: F frames, C columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.encoders.visual.face.encoder import UNIT_NAMES
from features.faces.person_track import FACE_COLUMNS
from features.store.track_store import TrackStore
from fusion.data.predictions import FramePredictions
from fusion.streams.clip_streams import load_clip
from fusion.streams.clip_tracks import FACES, explained, find_track, read_dim
from fusion.tasks.clips import Clip
from fusion.tasks.measuring.measures import Column, Measure

WINDOW = 0.1
"""Seconds of sound whose mean is told of a frame."""
VALIDITY = "validity"
"""Column that tells how far readings of the face can be trusted."""
BOX, ACTION, QUALITY, SPEECH = "box", "units", "quality", "speech"


@dataclass(frozen=True)
class Reading:
    """Columns of a stream that are told as they are.

    Attributes:
        measure: Name of the measure.
        heading: Of its lane.
        stream: The stream.
        width: D of the stream; one of another width is somebody else's.
        first: Of the stream's columns.
        columns: What it, and those after it, are.
    """

    measure: str
    heading: str
    stream: str
    width: int
    first: int
    columns: tuple[Column, ...]


def _angle(name: str, meaning: str) -> Column:
    return Column(name, f"{meaning}, of the aligned crop.", "degrees", -180, 180)


def _place(name: str, meaning: str) -> Column:
    return Column(name, f"{meaning}, in pixels of the upright picture.", "px", origin="measured")


POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
READINGS = (
    Reading(
        ACTION,
        "Action units",
        "face.units",
        len(UNIT_NAMES),
        0,
        tuple(
            Column(f"{unit}_p", f"Probability of {unit}, {what} (FACS).", low=0, high=1)
            for unit, what in UNIT_NAMES.items()
        ),
    ),
    Reading(
        "pose",
        "Head pose",
        "face.pose",
        3,
        0,
        (
            _angle("yaw", "Turn of the head to a side"),
            _angle("pitch", "Nod of the head"),
            _angle("roll", "Tilt of the head that is left"),
        ),
    ),
    Reading(
        QUALITY,
        "Validity",
        "face.validity",
        1,
        0,
        (
            Column(
                VALIDITY,
                "How far blur, size, cover or light leave what is read off the face true: 1 all.",
                low=0,
                high=1,
            ),
        ),
    ),
    Reading(
        SPEECH,
        "Speech",
        "speech",
        1,
        0,
        (Column("speech", "Probability that somebody speaks.", low=0, high=1),),
    ),
    Reading(
        BOX,
        "Place of the face",
        FACES,
        len(FACE_COLUMNS),
        0,
        tuple(
            _place(f"box_{name}", meaning)
            for name, meaning in {
                "x0": "Left edge of the face's box",
                "y0": "Upper edge of the face's box",
                "x1": "Right edge of the face's box",
                "y1": "Lower edge of the face's box",
            }.items()
        ),
    ),
    Reading(
        "landmarks",
        "Points of the face",
        FACES,
        len(FACE_COLUMNS),
        4,
        tuple(
            _place(f"{point}_{axis}", f"{axis} of the {point.replace('_', ' ')}")
            for point in POINTS
            for axis in "xy"
        ),
    ),
)
"""Left and right are the picture's."""


def with_readings(
    predictions: FramePredictions, store: TrackStore, clip: Clip, cache: Path | None = None
) -> FramePredictions:
    """Predictions with the measures of `read_measures` beside those that they have.

    A measure that has a column of a task's name is left out: the task tells it.
    """
    own = {column for task in predictions.tasks.values() for column in task.columns}
    read = {
        name: measure
        for name, measure in read_measures(store, clip, len(predictions), cache).items()
        if own.isdisjoint(measure.names)
    }
    return replace(predictions, measures={**predictions.measures, **read})


def read_measures(
    store: TrackStore, clip: Clip, frames: int, cache: Path | None = None
) -> dict[str, Measure]:
    """Measures of a person by name, as far as the store has their streams.

    Args:
        store: The tracks.
        clip: Whose.
        frames: F, of the predictions that they are to stand beside.
        cache: Folder of aligned tracks; None: `.aligned` in the store.

    Raises:
        UserError: If a track is damaged.
        ValueError: If the store has another number of frames by now.
    """
    found: dict[str, Measure] = {}
    for reading in READINGS:
        if _width(store, clip, reading.stream) != reading.width:
            continue
        stop = reading.first + len(reading.columns)
        loaded = load_clip(store, clip, {reading.stream: reading.width}, WINDOW, cache)
        if loaded is None or len(loaded) != frames:
            raise ValueError(f"{clip.id}: not {frames} frames in {store.root}")
        values = loaded.streams[reading.stream][:][:, reading.first : stop].astype(np.float32)
        values[~loaded.valid[reading.stream]] = np.nan
        found[reading.measure] = Measure(
            reading.heading, reading.columns, _within(values, reading.columns)
        )
    return found


def _width(store: TrackStore, clip: Clip, stream: str) -> int:
    """D of a clip's track of a stream; 0 if it has none."""
    with explained():
        track = find_track(store, stream, clip)
        return read_dim(store.path(stream, track)) if track else 0


def _within(values: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """Values (F, C) in their ranges, which half precision may leave by its last digit."""
    for number, column in enumerate(columns):
        if column.low is not None or column.high is not None:
            np.clip(values[:, number], column.low, column.high, out=values[:, number])
    return values
