"""Predictions of a person with measures, made by hand."""

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.measuring.readings import READINGS
from fusion.tasks.measuring.measures import Measure
from fusion.tasks.registry import make_tasks

COLUMNS = {reading.measure: reading for reading in READINGS}


def person(
    frames: int = 50, *, expression: int = 4, seconds: float = 2.0, **measures: np.ndarray
) -> FramePredictions:
    """Somebody who shows one expression all the time; measures are values by name."""
    values = np.full((frames, 8), 0.02, np.float32)
    values[:, expression] = 1 - 0.02 * 7
    made = {
        name: Measure(COLUMNS[name].heading, COLUMNS[name].columns, rows.astype(np.float32))
        for name, rows in measures.items()
    }
    return FramePredictions(
        "talk",
        "talk",
        np.arange(frames) * (seconds / frames),
        np.ones(frames, bool),
        make_tasks({"expr": None}),
        {"expr": values},
        measures=made,
    )


def box(frames: int, side: float) -> np.ndarray:
    """(F, 4) of a face of one size."""
    return np.tile([10.0, 20.0, 10 + side, 20 + side], (frames, 1))
