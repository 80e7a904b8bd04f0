"""What a file of predictions says of a person, in a few lines that one can read.

Data flow: FramePredictions > shares of time, means, ranges > lines of text. Every frame counts by
the time until the next one, so that a variable frame rate changes nothing.

Letters: F frames.
"""

from collections.abc import Iterator

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.measuring.readings import ACTION, BOX, QUALITY, SPEECH
from fusion.tables.frame_table import VOCAL
from fusion.tables.weighting import durations
from fusion.tasks.base import Task

SMALL = 40.0
"""Pixels of a face's shorter side below which it is said to be small."""
LOW = 0.5
"""Validity below which a frame is not to be trusted."""
NAMED = 3
"""Classes, units or values that a line names at most."""
ON = 0.5
SILENT = 0.05
"""Share of the time with speech below which a voice is said to be missing."""
FEW = 0.02
"""Share of the time below which a class is not named."""


def summary_of(predictions: FramePredictions) -> list[str]:
    """Lines about one person: the name with its time, then what is said, then what to trust."""
    weights = durations(predictions.times)
    total = float(weights.sum())
    if not len(predictions) or not total:
        return [f"{predictions.id}: no frame"]
    on_screen = float(weights[predictions.face].sum())
    who = f"{predictions.id}: {_time(total)}"
    lines = [f"{who}, face in view for {_time(on_screen)} ({on_screen / total:.0%})"]
    for name, task in predictions.tasks.items():
        lines += _of_task(task, predictions, name, weights)
    lines += _of_measures(predictions, weights)
    return [lines[0], *(f"  {line}" for line in [*lines[1:], trust(predictions)])]


def _of_task(
    task: Task, predictions: FramePredictions, name: str, weights: np.ndarray
) -> Iterator[str]:
    values = predictions.values[name]
    if task.kind == "values":
        for column, own in zip(task.names, values.T, strict=True):
            yield _range(column, while_spoken(column, own, predictions), weights)
        return
    decided = predictions.decided(name)
    on = decided == np.arange(len(task.names))[:, None] if task.kind == "classes" else decided.T > 0
    shares = on.astype(float) @ weights / weights.sum()
    if said := _shares(task.names, shares):
        yield f"{task.heading}: {said}"


def while_spoken(name: str, values: np.ndarray, predictions: FramePredictions) -> np.ndarray:
    """Values (F,) of a column; of one that only a voice tells NaN where nobody speaks.

    All of them where speech is not told.
    """
    if not name.startswith(VOCAL) or SPEECH not in predictions.measures:
        return values
    return np.where(predictions.measures[SPEECH].values[:, 0] >= ON, values, np.nan)


def _of_measures(predictions: FramePredictions, weights: np.ndarray) -> Iterator[str]:
    for name, measure in predictions.measures.items():
        if name == ACTION:
            known = ~np.isnan(measure.values).any(axis=1)
            if known.any():
                shares = weights[known] @ (measure.values[known] >= ON) / weights[known].sum()
                names = [column.removesuffix("_p") for column in measure.names]
                said = _shares(names, shares)
                yield f"{measure.heading}, in the time that the face is seen: {said or 'none'}"
        elif name == SPEECH:
            spoken = weights @ (measure.values[:, 0] >= ON) / weights.sum()
            yield f"Speech: {spoken:.0%} of the time"
        elif all(column.origin == "derived" for column in measure.columns):
            for column, values in zip(measure.columns, measure.values.T, strict=True):
                yield _range(f"{column.name} (derived)", values, weights)


def trust(predictions: FramePredictions) -> str:
    """How far the rest can be trusted, and why not further."""
    weights = durations(predictions.times)
    face, measures = predictions.face, predictions.measures
    why = []
    if not face.any():
        why.append("no face was seen")
    elif face.mean() < 0.9:
        why.append(f"no face for {weights[~face].sum() / weights.sum():.0%} of the time")
    if face.any() and QUALITY in measures:
        validity = measures[QUALITY].values[face, 0]
        poor = weights[face][validity < LOW].sum() / weights[face].sum()
        if poor > 0.1:
            why.append(f"low validity (blur, cover, pose, light) for {poor:.0%} of the face's time")
    if face.any() and BOX in measures:
        box = measures[BOX].values[face]
        side = float(np.nanmedian(np.minimum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])))
        if side < SMALL:
            why.append(f"the face is {side:.0f} pixels small")
    heard = measures[SPEECH].values[:, 0] if SPEECH in measures else np.zeros(0)
    if np.isnan(heard).all():
        why.append("no sound, so that it is the face alone that tells")
    elif weights[heard >= ON].sum() < SILENT * weights.sum():
        why.append("hardly any speech, so that it is the face alone that tells")
    grave = [reason for reason in why if "alone" not in reason]
    level = "good" if not grave else "limited" if face.any() else "low"
    return f"Trust: {level}{': ' if why else ''}{'; '.join(why)}"


def _shares(names: object, shares: np.ndarray) -> str:
    """The most frequent names with their shares of the time."""
    order = [i for i in np.argsort(-shares, kind="stable")[:NAMED] if shares[i] >= FEW]
    return ", ".join(f"{tuple(names)[i]} {shares[i]:.0%}" for i in order)  # type: ignore[arg-type]


def _range(name: str, values: np.ndarray, weights: np.ndarray) -> str:
    """Mean and range, where there is any value."""
    known = ~np.isnan(values)
    if not known.any():
        return f"{name}: nothing to tell it by"
    mean = float(values[known] @ weights[known] / weights[known].sum())
    low, high = np.nanpercentile(values, (5, 95))
    return f"{name}: mean {mean:+.2f}, mostly {low:+.2f} to {high:+.2f}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{seconds:.1f} s"
