"""Scores as columns of one array, in which form they are stitched and stored.

    Scores > `joined` > (..., C) > `parted` > Scores

Columns: valence, arousal, 8 expressions, 12 units, then what a model has besides: K bins of
valence and K of arousal, 6 sigmoids for compound expressions.

Letters: C columns, K bins; `...` windows and frames.
"""

import torch
from torch import Tensor

from fusion.data.batch import Scores
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS

COMPOUND = 6
OFFICIAL = len(DIMENSIONS) + len(EXPRESSIONS) + len(UNITS)
"""Columns that every model has: valence, arousal, expressions and units."""
COLUMNS = {"va": slice(0, 2), "expr": slice(2, 10), "au": slice(10, OFFICIAL)}
"""Columns that belong to each task."""


def joined(scores: Scores) -> Tensor:
    """(..., C) float32 of all scores."""
    parts = [scores.va, scores.expr, scores.au]
    if scores.va_bins is not None:
        parts.append(scores.va_bins.flatten(-2))
    if scores.compound is not None:
        parts.append(scores.compound)
    return torch.cat([part.float() for part in parts], dim=-1)


def parted(columns: Tensor, bins: int = 0, compound: bool = False) -> Scores:
    """Scores that `joined` has joined.

    Args:
        columns: (..., C).
        bins: K of the model, 0 for none.
        compound: Whether it has sigmoids for compound expressions.
    """
    va, expr, au, va_bins, six = columns.split(_sizes(bins, compound), dim=-1)
    return Scores(
        va,
        expr,
        au,
        va_bins.unflatten(-1, (len(DIMENSIONS), bins)) if bins else None,
        six if compound else None,
    )


def width(bins: int = 0, compound: bool = False) -> int:
    """C of a model, told as to `parted`."""
    return sum(_sizes(bins, compound))


def _sizes(bins: int, compound: bool) -> list[int]:
    official = [len(DIMENSIONS), len(EXPRESSIONS), len(UNITS)]
    return [*official, len(DIMENSIONS) * bins, COMPOUND if compound else 0]
