"""A person's own neutral state, and what is left of each column without it.

Data flow: predictions > frames that stand for the neutral state > median of each column over them
> column less it, as `NAME_bc` beside `NAME`.

`auto` takes the median over all frames in which the face can be trusted, as Baltrusaitis et al.
2015 (person-specific normalisation for action units) and OpenFace do: people are at rest most of
the time. Where they are not, name seconds in which they are: `FROM-TO`.

Letters: F frames, C columns.
"""

import re
from dataclasses import replace

import numpy as np

from features.errors import UserError
from fusion.data.predictions import FramePredictions
from fusion.measuring.readings import BOX, QUALITY, SPEECH
from fusion.tasks.measuring.measures import Column, Measure

NONE, AUTO = "none", "auto"
BASELINE, SUFFIX = "baseline", "_bc"
TRUSTED = 0.5
"""Least validity of a frame that counts."""
LEAST = 5
"""Fewest frames that tell a neutral state."""
_BETWEEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*")
_APART = (BOX, QUALITY, SPEECH, "landmarks", "uncertainty", BASELINE)
"""Measures of which nobody has a neutral state."""


def between(how: str) -> tuple[float, float] | None:
    """Seconds that `FROM-TO` names; None for `auto` and `none`.

    Raises:
        UserError: For anything else.
    """
    if how in (NONE, AUTO):
        return None
    match = _BETWEEN.fullmatch(how)
    if match is None or float(match[1]) >= float(match[2]):
        raise UserError(
            f"baseline '{how}' must be auto, none, or seconds in which the person is neutral, such"
            " as 0-5"
        )
    return float(match[1]), float(match[2])


def with_baseline(predictions: FramePredictions, how: str) -> FramePredictions:
    """Predictions with a measure `baseline`, where there are frames that tell one.

    Args:
        predictions: Of one person.
        how: `auto`, `none`, or `FROM-TO` in seconds.

    Raises:
        UserError: For another word, or seconds in which nothing of the person is seen.
    """
    span = between(how)
    names, values = _columns(predictions)
    if how == NONE or not names:
        return predictions
    frames = _neutral(predictions, span)
    if span and not frames.any():
        start, end = predictions.times[[0, -1]] if len(predictions) else (0.0, 0.0)
        raise UserError(
            f"{predictions.id}: nothing to see between {span[0]:g} and {span[1]:g} s (it lasts from"
            f" {start:.1f} to {end:.1f} s); name other seconds, or --baseline none"
        )
    if frames.sum() < LEAST:
        return predictions
    known = ~np.isnan(values[frames]).all(axis=0)
    neutral = np.full(len(names), np.nan)
    neutral[known] = np.nanmedian(values[frames][:, known], axis=0)
    source = f"between {span[0]:g} and {span[1]:g} s" if span else "over all trusted frames"
    columns = tuple(
        Column(
            name + SUFFIX,
            f"{name} less the person's own median {source}"
            + (f" ({value:.3f})." if np.isfinite(value) else "."),
            origin="corrected",
        )
        for name, value in zip(names, neutral, strict=True)
    )
    corrected = Measure("Against the person's baseline", columns, (values - neutral).astype("f4"))
    return replace(predictions, measures={**predictions.measures, BASELINE: corrected})


def _neutral(predictions: FramePredictions, span: tuple[float, float] | None) -> np.ndarray:
    """(F,) frames that stand for the neutral state."""
    frames = predictions.face.copy()
    if span:
        return frames & (predictions.times >= span[0]) & (predictions.times <= span[1])
    if QUALITY in predictions.measures:
        frames &= predictions.measures[QUALITY].values[:, 0] >= TRUSTED
    return frames


def _columns(predictions: FramePredictions) -> tuple[list[str], np.ndarray]:
    """Names, and values (F, C), of all that a neutral state can be taken from."""
    names: list[str] = []
    parts: list[np.ndarray] = []
    for name, task in predictions.tasks.items():
        names += task.columns
        parts.append(predictions.values[name])
    for name, measure in predictions.measures.items():
        if name not in _APART:
            names += measure.names
            parts.append(measure.values)
    rows = np.hstack(parts) if parts else np.zeros((len(predictions), 0), np.float32)
    return names, rows.astype(np.float64)
