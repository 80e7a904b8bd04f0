"""Tokens: what an encoder makes of sound or of a file. Letters: T tokens, D feature dimensions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

APART = 1e-6
"""Seconds put between tokens that have one middle."""


@dataclass(frozen=True)
class Tokens:
    """What an encoder makes of sound or of a file.

    Attributes:
        values: stream name to (T, D) float32, or of the type asked for.
        times: (T,) float64, centres of the tokens in seconds after the first sample; of a
            `TokenEncoder`, after the first video frame.
        spans: (T, 2) float64, seconds at which each token begins and ends; None where they are as
            even as the times.
    """

    values: dict[str, np.ndarray]
    times: np.ndarray
    spans: np.ndarray | None = None

    @classmethod
    def between(cls, values: dict[str, np.ndarray], start: ArrayLike, end: ArrayLike) -> "Tokens":
        """Tokens that begin and end at some seconds, in any order; they may overlap.

        >>> tokens = Tokens.between({"words": np.eye(2, dtype=np.float32)}, [2, 0], [3, 1])
        >>> tokens.times.tolist(), tokens.values["words"][0].tolist()
        ([0.5, 2.5], [0.0, 1.0])

        Args:
            values: stream name to (T, D).
            start: (T,) seconds.
            end: (T,) seconds, not before the start.

        Raises:
            ValueError: If a token ends before it begins, or a time is no number.
        """
        spans = np.stack([np.asarray(start, float), np.asarray(end, float)], axis=1)
        if not (np.isfinite(spans).all() and (spans[:, 0] <= spans[:, 1]).all()):
            raise ValueError("tokens must begin and end at finite seconds, in this order")
        order = np.argsort(spans.mean(axis=1), kind="stable")
        spans = spans[order]
        times = spans.mean(axis=1)
        for row in np.flatnonzero(np.diff(times) < APART) + 1:
            times[row] = max(times[row], times[row - 1] + APART)
        return cls({name: np.asarray(rows)[order] for name, rows in values.items()}, times, spans)
