"""Statistics over frames that last differently long: each frame counts as long as it is shown.

Data flow: times > `durations` > weights > mean, deviation, quantiles.

Frame i lasts from its time to that of frame i + 1, and the last as long as the median one. Where
the clock jumps (a recording that paused), a frame counts as long as the median one: nobody knows
what was there meanwhile.

Letters: F frames.
"""

import numpy as np

LONGEST = 1.0
"""A step of more seconds than this, and than three median ones, is a pause."""
LONE = 1 / 25
"""Seconds that the only frame of a clip counts, since it has no neighbour."""


def durations(times: np.ndarray) -> np.ndarray:
    """(F,) float64 seconds above 0 for strictly rising times (F,)."""
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else LONE
    held = np.where(steps > max(LONGEST, 3 * usual), usual, steps)
    return np.append(held, usual)[: len(times)]


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Mean of the values (F,) that are not NaN; NaN where no weight is left."""
    known = ~np.isnan(values)
    total = weights[known].sum()
    return float((values[known] * weights[known]).sum() / total) if total > 0 else np.nan


def weighted_sd(values: np.ndarray, weights: np.ndarray) -> float:
    """Standard deviation (of the population: over time) likewise."""
    values = values.astype(np.float64)
    return float(np.sqrt(weighted_mean((values - weighted_mean(values, weights)) ** 2, weights)))


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The least value below or at which lies the share `at` (Q,) of the weight; NaN for none."""
    known = ~np.isnan(values) & (weights > 0)
    if not known.any():
        return np.full(len(at), np.nan)
    order = np.argsort(values[known], kind="stable")
    reached = np.cumsum(weights[known][order])
    # A hair less, so that sums of durations such as .1 + .2 do not miss the share by rounding.
    places = np.searchsorted(reached, np.asarray(at) * reached[-1] * (1 - 1e-12))
    return np.asarray(values[known][order][np.minimum(places, len(order) - 1)])
