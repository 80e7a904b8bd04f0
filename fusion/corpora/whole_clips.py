"""Clips with labels of their own, made of a table with a row for each.

A row of values or a class > ClipLabels under the name of the task that learns them > Clip.

Letters: K values.
"""

from pathlib import Path

import numpy as np

from features.errors import UserError
from features.importers.text_tables import read_table_text
from fusion.tasks.labels import ClipLabels, FrameLabels, TaskLabels

INTENSITIES, EMOTIONS = "intensities", "emotions"
"""Tasks for values and for a class of a whole clip."""


def of_values(values: np.ndarray, names: tuple[str, ...]) -> FrameLabels:
    """K values (K,) of a clip, by name; none if any is NaN."""
    if np.isnan(values).any():
        return FrameLabels(0)
    row = TaskLabels(values[None].astype(np.float32), np.ones((1, len(names)), bool), names)
    return ClipLabels(1, {INTENSITIES: row})


def of_class(number: float, names: tuple[str, ...]) -> FrameLabels:
    """One class of a clip by its number; none if it is NaN."""
    if np.isnan(number):
        return FrameLabels(0)
    row = TaskLabels(np.array([number], np.int64), np.ones(1, bool), names)
    return ClipLabels(1, {EMOTIONS: row})


def of_classes(numbers: np.ndarray, names: tuple[str, ...]) -> FrameLabels:
    """One class of each frame (F,), NaN for none."""
    mask = ~np.isnan(numbers)
    labels = TaskLabels(np.where(mask, numbers, 0).astype(np.int64), mask, names)
    return FrameLabels(len(numbers), {EMOTIONS: labels})


def has_columns(path: Path, *names: str) -> bool:
    """Whether the first line of a file is a header with these columns, as far as it is text."""
    try:
        return set(names) <= set(read_table_text(path, quiet=True).header)
    except UserError:
        return False
