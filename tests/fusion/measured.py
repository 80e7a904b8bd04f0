"""Predictions with the measures of a packaged model, made by hand."""

from collections.abc import Mapping

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.tables.frame_table import FrameTable, table_of
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.measuring.measures import Column, Measure
from fusion.tasks.registry import make_task

UNITS = ("AU1_p", "AU2_p", "AU4_p", "AU6_p", "AU12_p")


def column(name: str, low: float | None = 0, high: float | None = 1, unit: str = "") -> Column:
    return Column(name, f"What {name} is", unit, low, high)


def measure(columns: Mapping[str, np.ndarray], *bounds: float | None, unit: str = "") -> Measure:
    low, high = bounds or (0, 1)
    values = np.stack(list(columns.values()), 1).astype(np.float32)
    return Measure("Of a test", tuple(column(name, low, high, unit) for name in columns), values)


def predictions(
    times: np.ndarray,
    units: Mapping[str, np.ndarray] | None = None,
    *,
    id: str = "talk",
    video: str | None = None,
    face: np.ndarray | None = None,
    validity: np.ndarray | None = None,
    speech: np.ndarray | None = None,
    vocal: np.ndarray | None = None,
    yaw: np.ndarray | None = None,
    classes: np.ndarray | None = None,
) -> FramePredictions:
    """One person; units that are not given are 0, classes Neutral."""
    frames = len(times)
    face = np.ones(frames, bool) if face is None else face
    codes = np.zeros(frames, int) if classes is None else classes
    probabilities = np.full((frames, len(EXPRESSIONS)), 0.3 / (len(EXPRESSIONS) - 1), np.float32)
    probabilities[np.arange(frames), codes] = 0.7
    given = dict.fromkeys(UNITS, np.zeros(frames)) | dict(units or {})
    measures = {"units": measure(given)}
    if yaw is not None:
        measures["pose"] = measure({"yaw": yaw}, -90, 90, unit="degrees")
    if validity is not None:
        measures["quality"] = measure({"validity": validity})
    if vocal is not None:
        measures["baseline"] = measure({"vocal_arousal": vocal})
    if speech is not None:
        measures["voice"] = measure({"speech": speech})
    return FramePredictions(
        id=id,
        video=video or id,
        times=np.asarray(times, np.float64),
        face=face,
        tasks={"expr": make_task("expr")},
        values={"expr": probabilities},
        measures=measures,
        provenance={"checkpoint": "0123abcd"},
    )


def table(times: np.ndarray, units: Mapping[str, np.ndarray] | None = None, **more) -> FrameTable:
    return table_of(predictions(times, units, **more))
