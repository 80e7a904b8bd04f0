"""What is drawn where many frames share a pixel. Data flow: codes of all frames > coarser levels.

Groups have `STEPS` frames, whole multiples of each other, counted from the first frame: a browser
adds groups up to any wider column. Lines need the least and the greatest value, so that no short
peak is lost; shares need the mean, classes the most frequent one.

Letters: C columns, F frames, G groups.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from fusion.reporting.page.packing import MISSING, Blocks

STEPS = (32, 1024)
"""Frames of a group, level by level; a level is left out where it would have few groups."""
FEWEST = 64
Way = Literal["range", "mean", "mode"]
"""How frames become one: least and greatest, mean, or most frequent."""


def levels_of(codes: np.ndarray, ways: list[Way], blocks: Blocks) -> dict[str, object]:
    """Packs (C, F) int16 with coarser levels.

    Args:
        codes: C columns.
        ways: How each is put together; `range` gives two columns of a level, least and greatest.
        blocks: Where they go.
    """
    levels = []
    for step in STEPS:
        if codes.shape[1] // step >= FEWEST:
            rows = [row for i, way in enumerate(ways) for row in WAYS[way](codes[i], step)]
            levels.append({"step": step, **blocks.add(np.stack(rows))})
    return {"full": blocks.add(codes), "levels": levels, "ways": list(ways)}


def grouped(codes: np.ndarray, step: int) -> np.ndarray:
    """(F,) int16 as (G, step) float64, NaN where there is no value or no frame."""
    groups = -(-len(codes) // step)
    padded = np.full(groups * step, np.nan)
    padded[: len(codes)] = np.where(codes == MISSING, np.nan, codes)
    return padded.reshape(groups, step)


def ranges(codes: np.ndarray, step: int) -> list[np.ndarray]:
    """(G,) int16 least and greatest of each group of (F,) codes."""
    groups = grouped(codes, step)
    none = np.isnan(groups).all(axis=1)
    low = np.where(np.isnan(groups), np.inf, groups).min(axis=1)
    high = np.where(np.isnan(groups), -np.inf, groups).max(axis=1)
    return [np.where(none, MISSING, row).astype(np.int16) for row in (low, high)]


def means(codes: np.ndarray, step: int) -> list[np.ndarray]:
    """(G,) int16 mean of each group of (F,) codes."""
    groups = grouped(codes, step)
    count = (~np.isnan(groups)).sum(axis=1)
    total = np.where(np.isnan(groups), 0.0, groups).sum(axis=1)
    mean = np.round(total / np.maximum(count, 1))
    return [np.where(count, mean, MISSING).astype(np.int16)]


def modes(codes: np.ndarray, step: int) -> list[np.ndarray]:
    """(G,) int16 most frequent of each group of (F,) codes from 0, `MISSING` not counted."""
    groups = grouped(codes, step)
    number = max(int(codes.max(initial=0)) + 1, 1)
    counts = np.stack([(groups == code).sum(axis=1) for code in range(number)], axis=1)
    return [np.where(counts.any(axis=1), counts.argmax(axis=1), MISSING).astype(np.int16)]


WAYS: Mapping[Way, Callable[[np.ndarray, int], list[np.ndarray]]] = {
    "range": ranges,
    "mean": means,
    "mode": modes,
}
