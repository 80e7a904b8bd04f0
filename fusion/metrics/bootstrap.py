"""How sure a score is: bootstrap over videos, for one set of predictions or two.

statistics of each video > random draws of whole videos > scores of each draw > Interval.

Frames of one video resemble each other, so whole videos are drawn, with all their people, as many
as there are and with replacement (the cluster bootstrap; Davison and Hinkley, 1997, 3.8). A draw is
a weight for each video; statistics are pooled by these weights, no frame is looked at again. Two
sets of predictions are scored on the same draws (paired bootstrap), so that what is hard about a
video cancels out of their difference.

A class that a draw has neither in truth nor in prediction counts as F1 0 there, as the official
score has it: with few videos the intervals of an F1 reach low for that reason too.

Letters: V videos, B draws, K values.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fusion.metrics.official import TOTAL, MetricAccumulator, pooled
from fusion.tasks.scoring.interface import LATEST

T = TypeVar("T")
LEVEL = 0.95
"""Share of the draws that an interval spans."""
FEWEST_VIDEOS = 2
"""With fewer, every draw is the same one."""


@dataclass(frozen=True)
class Interval:
    """A percentile interval; NaN where no draw has a score."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside, as for a difference that is more than chance."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """One score of two sets of predictions.

    Attributes:
        first, second: The scores.
        interval: Of the difference, first - second.
        better: Share of the draws in which the first is better (equal ones count half).
    """

    first: float
    second: float
    interval: Interval
    better: float

    @property
    def difference(self) -> float:
        """First - second."""
        return self.first - self.second


def draw_videos(videos: int, draws: int, seed: int) -> np.ndarray:
    """(B, V) float64: how often each video is in each draw; a row adds up to V."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(videos, np.full(videos, 1 / videos), size=draws).astype(np.float64)


def scores_of_draws(
    videos: Sequence[MetricAccumulator],
    weights: np.ndarray,
    edition: int = LATEST,
    exact: bool = False,
) -> dict[str, np.ndarray]:
    """The scores of each draw, by the same names and formulas as `MetricAccumulator`.

    Args:
        videos: V statistics.
        weights: (B, V), how often each video is drawn.
        edition: Number of the challenge.
        exact: In edition 2, accuracy of binary vectors by whole frames.

    Returns:
        (B,) official scores, then those of each class, value or element. A task that a draw has no
        label of is NaN there, as is its P; tasks that no video has labels of are left out of P.
    """
    whole = pooled(videos)
    official: dict[str, np.ndarray] = {}
    parts: dict[str, np.ndarray] = {}
    total: list[np.ndarray] = []
    for name, task in whole.tasks.items():
        own = [video.statistics.get(name) or task.no_statistics() for video in videos]
        found, of_classes = task.draws(own, weights, whole.rules(name, edition, exact))
        official |= found
        parts |= of_classes
        if not np.isnan(found[task.title]).all():
            total.append(found[task.title])
    sums = np.sum(total, axis=0) if total else np.full(len(weights), np.nan)
    return {**official, TOTAL: sums, **parts}


def intervals(draws: dict[str, np.ndarray], level: float = LEVEL) -> dict[str, Interval]:
    """The percentile interval of each score; draws without a score (NaN) do not count."""
    return {name: interval_of(values, level) for name, values in draws.items()}


def interval_of(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Percentile interval of (B,) draws; NaN if none has a value."""
    known = values[~np.isnan(values)]
    if not known.size:
        return Interval(math.nan, math.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap(
    videos: Sequence[MetricAccumulator],
    draws: int,
    seed: int,
    edition: int = LATEST,
    exact: bool = False,
) -> dict[str, Interval]:
    """95 % intervals of all scores; empty with fewer than two videos or without draws."""
    if len(videos) < FEWEST_VIDEOS or draws < 1:
        return {}
    return intervals(scores_of_draws(videos, draw_videos(len(videos), draws, seed), edition, exact))


def compare(
    first: Sequence[MetricAccumulator],
    second: Sequence[MetricAccumulator],
    draws: int,
    seed: int,
    edition: int = LATEST,
    exact: bool = False,
) -> dict[str, Comparison]:
    """Compares two sets of predictions of the same V videos, which stand in the same order.

    Interval and share are NaN with fewer than two videos or without draws.
    """

    def score(videos: Sequence[MetricAccumulator], weights: np.ndarray) -> dict[str, np.ndarray]:
        return scores_of_draws(videos, weights, edition, exact)

    return paired(score, first, second, draws, seed)


def paired(
    score: Callable[[Sequence[T], np.ndarray], dict[str, np.ndarray]],
    first: Sequence[T],
    second: Sequence[T],
    draws: int,
    seed: int,
) -> dict[str, Comparison]:
    """As `compare`, of any statistics.

    Args:
        score: Statistics of V videos, weights (B, V) > (B,) scores by name.
        first: Statistics of V videos.
        second: Of the same videos, by other predictions.
        draws: B.
        seed: Of the draws.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} videos cannot be paired")
    enough = len(first) >= FEWEST_VIDEOS and draws > 0
    weights = draw_videos(len(first), draws, seed) if enough else np.zeros((0, len(first)))
    once = np.ones((1, len(first)))
    drawn, whole = ([score(videos, each) for videos in (first, second)] for each in (weights, once))
    return {
        name: Comparison(
            first=float(whole[0][name][0]),
            second=float(whole[1][name][0]),
            interval=interval_of(drawn[0][name] - drawn[1][name]),
            better=_share_better(drawn[0][name] - drawn[1][name]),
        )
        for name in whole[0]
    }


def _share_better(difference: np.ndarray) -> float:
    known = difference[~np.isnan(difference)]
    return float(np.mean((known > 0) + 0.5 * (known == 0))) if known.size else math.nan
