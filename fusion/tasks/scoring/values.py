"""Scoring continuous values: mean CCC, mean Pearson correlation, or RMSE.

Letters: F frames, V videos, D draws, C values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import D
from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.interface import Rules
from fusion.tasks.scoring.reliability import Reliability
from fusion.tasks.scoring.statistics import DrawnMoments, PairMoments

Metric = Literal["ccc", "pearson", "rmse"]
METRIC_TITLES: Mapping[Metric, str] = {"ccc": "CCC", "pearson": "PCC", "rmse": "RMSE"}


@dataclass(frozen=True)
class ValuesStatistics:
    """Moments of each of C values."""

    moments: tuple[PairMoments, ...]

    def merged(self, other: "ValuesStatistics") -> "ValuesStatistics":
        """Of both together."""
        pairs = zip(self.moments, other.moments, strict=True)
        return ValuesStatistics(tuple(ours.merged(theirs) for ours, theirs in pairs))


class ValuesScoring(Task[ValuesStatistics, D]):
    """Scores of C values of a frame.

    The official score is the mean over the values of their CCC or Pearson correlation, or the
    negative mean of their RMSE, so that more is better for all of them.

    Attributes:
        thing: What a value is called.
        parts: Names of the scores of each value; empty: the metric's and the value's names.
    """

    thing = "value"
    report_name = "values"
    parts: ClassVar[tuple[str, ...]] = ()

    @property
    def metric(self) -> Metric:
        """Which one is official."""
        return getattr(self.settings, "metric", "ccc")

    @property
    def part_names(self) -> tuple[str, ...]:
        """Of the scores of each value."""
        return self.parts or tuple(f"{METRIC_TITLES[self.metric]} {name}" for name in self.names)

    def no_statistics(self) -> ValuesStatistics:
        """See `Task.no_statistics`."""
        nothing = PairMoments.of(np.zeros(0), np.zeros(0))
        return ValuesStatistics((nothing,) * len(self.names))

    def statistics(self, labels: TaskLabels, decided: np.ndarray) -> ValuesStatistics:
        """Of F labels and (F, C) values."""
        if decided.shape != labels.values.shape:
            raise ValueError(f"{self.name}: predictions {decided.shape}, not {labels.values.shape}")
        masks = labels.mask if labels.mask.ndim == 2 else labels.mask[:, None]
        masks = np.broadcast_to(masks, decided.shape)
        columns = zip(labels.values.T, decided.T, masks.T, strict=True)
        return ValuesStatistics(tuple(PairMoments.of(t[m], said[m]) for t, said, m in columns))

    def official(self, statistics: ValuesStatistics, rules: Rules) -> dict[str, float]:
        """Each value's score, then `title`."""
        parts = [self._score(moments) for moments in statistics.moments]
        known = [score for score in parts if not math.isnan(score)]
        mean = sum(known) / len(known) if known else math.nan
        sign = -1 if self.metric == "rmse" else 1
        return {**dict(zip(self.part_names, parts, strict=True)), self.title: sign * mean}

    def draws(
        self, videos: Sequence[ValuesStatistics], weights: np.ndarray, rules: Rules
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """See `Task.draws`."""
        parts = []
        for i in range(len(self.names)):
            drawn = DrawnMoments.of(weights, [video.moments[i] for video in videos])
            parts.append(
                {"ccc": drawn.ccc, "pearson": drawn.correlation, "rmse": drawn.error}[self.metric]()
            )
        known = ~np.isnan(parts)
        count = known.sum(axis=0)
        total = np.where(known, parts, 0.0).sum(axis=0)
        mean = np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0)
        sign = -1 if self.metric == "rmse" else 1
        return {**dict(zip(self.part_names, parts, strict=True)), self.title: sign * mean}, {}

    def table(
        self, statistics: ValuesStatistics, rules: Rules, kept: Reliability
    ) -> dict[str, Any]:
        """Bias (mean said - mean true), scale (ratio of the deviations, ddof 0), r, CCC."""
        moments = statistics.moments
        mean = np.array([m.mean if m.count else (math.nan, math.nan) for m in moments])
        true, said = np.array([m.deviation() for m in moments]).T
        return {
            self.thing: self.names,
            "frames": [m.count for m in moments],
            "mean true": mean[:, 0],
            "mean predicted": mean[:, 1],
            "bias": mean[:, 1] - mean[:, 0],
            "std true": true,
            "std predicted": said,
            "scale": np.divide(said, true, out=np.full(len(true), np.nan), where=true > 0),
            "r": [m.correlation() for m in moments],
            **({"RMSE": [m.error() for m in moments]} if self.metric == "rmse" else {}),
            "CCC": [m.ccc() for m in moments],
        }

    def clip_scores(self, statistics: ValuesStatistics, rules: Rules) -> dict[str, float]:
        """The metric of each value; RMSE negative, so that more is better."""
        moments, sign = statistics.moments, -1 if self.metric == "rmse" else 1
        frames = {f"{self.title} frames": max(each.count for each in moments)}
        measured = zip(self.measures, moments, strict=False)
        return frames | {name: sign * self._score(each) for name, each in measured}

    @property
    def measures(self) -> dict[str, tuple[float, float] | None]:
        """The metric of each value; none where a clip is one row, which agrees with nothing."""
        if self.metric == "rmse":
            return {f"-{name}": None for name in self.part_names}
        if self.level == "clip":
            return {}
        return dict.fromkeys(self.part_names, (-1.05, 1.05))

    def no_reliability(self) -> Reliability:
        """The value against its label."""
        return Reliability.empty(len(self.names), *self.value_range())

    def reliability(self, kept: Reliability, labels: TaskLabels, values: np.ndarray) -> None:
        """See `Task.reliability`."""
        mask = labels.mask if labels.mask.ndim == 2 else labels.mask[:, None]
        kept.add(values, labels.values, np.broadcast_to(mask, values.shape))

    def _score(self, moments: PairMoments) -> float:
        if self.metric == "rmse":
            return moments.error()
        if self.metric == "pearson":
            score = moments.correlation()
            return 0.0 if math.isnan(score) and moments.count else score
        return moments.ccc()
