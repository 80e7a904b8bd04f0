"""Columns of a table of labels > labels of each task.

Letters: R rows of the table.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from fusion.abaw.reading.tables import require
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import known_tasks, task_type

Columns = dict[str, pa.ChunkedArray]
"""The columns that the table has, by name."""


def labels_of(columns: Columns, rows: int, path: Path) -> FrameLabels:
    """Labels (R rows) in the order of the table."""
    labels: dict[str, TaskLabels] = {}
    if "valence" in columns:
        labels["va"] = _va(columns, path)
    if "expression" in columns:
        labels["expr"] = _expr(columns["expression"], path)
    if any(name in columns for name in UNITS):
        labels["au"] = _au(columns, rows, path)
    return FrameLabels(rows, labels | _of_other_tasks(columns))


def _of_other_tasks(columns: Columns) -> dict[str, TaskLabels]:
    """Labels of tasks that say themselves which columns are theirs."""
    labels: dict[str, TaskLabels] = {}
    for task in known_tasks():
        kind = task_type(task)
        if kind.table_text in columns:
            texts, codes = coded(columns[kind.table_text])
            names = sorted(filter(None, texts))
            places = np.array([names.index(text) if text else -1 for text in texts])[codes]
            labels[task] = TaskLabels(places.clip(min=0), places >= 0, tuple(names))
        own = [name for name in columns if kind.table_prefix and name.startswith(kind.table_prefix)]
        if own:
            values, given = zip(*(numbers_of(columns[name]) for name in own), strict=True)
            labels[task] = TaskLabels(
                np.stack(values, axis=1).astype(np.float32),
                np.stack(given, axis=1),
                tuple(name.removeprefix(kind.table_prefix) for name in own),
            )
    return labels


def _au(columns: Columns, rows: int, path: Path) -> TaskLabels:
    values = np.zeros((rows, len(UNITS)), np.float32)
    mask = np.zeros(values.shape, bool)
    for unit, name in enumerate(UNITS):
        if name in columns:
            on, given = numbers_of(columns[name])
            require((on == 0) | (on == 1), path, f"{name} is 0 or 1, or empty for no label")
            values[:, unit], mask[:, unit] = on, given
    return TaskLabels(values, mask)


def _va(columns: Columns, path: Path) -> TaskLabels:
    valence, known = numbers_of(columns["valence"])
    arousal, other = numbers_of(columns["arousal"])
    va = np.stack([valence, arousal], axis=1)
    require(np.abs(va) <= 1, path, "valence and arousal are -1 to 1, or empty for no label")
    require(known == other, path, "valence or arousal is empty; give both or neither")
    return TaskLabels(va.astype(np.float32), known)


def _expr(column: pa.ChunkedArray, path: Path) -> TaskLabels:
    """Expressions by name or by number; the texts that occur are looked up once each."""
    texts, codes = coded(column)
    numbers = {str(number): number for number in range(len(EXPRESSIONS))}
    numbers |= {f"{text}.0": number for text, number in numbers.items()}  # as pandas writes them
    numbers |= {name.lower(): number for number, name in enumerate(EXPRESSIONS)}
    found = np.array([numbers.get(text.lower(), -1) for text in texts])[codes]
    given = np.array([bool(text) for text in texts])[codes]
    names = ", ".join(EXPRESSIONS)
    require(~given | (found >= 0), path, f"the expression is one of {names}, 0 to 7, or empty")
    return TaskLabels(np.where(given, found, 0).astype(np.int64), given)


def coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], np.ndarray]:
    """Texts in order of first appearance, and for each row (R,) int32 which of them it is."""
    encoded = column.combine_chunks().dictionary_encode()
    return tuple(encoded.dictionary.to_pylist()), encoded.indices.to_numpy().astype(np.int32)


def numbers_of(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (R,) float64, 0 where there is none, and where there is one (R,) bool."""
    numbers = column.to_numpy().astype(np.float64)  # null becomes NaN
    given = ~np.isnan(numbers)
    return np.where(given, numbers, 0), given
