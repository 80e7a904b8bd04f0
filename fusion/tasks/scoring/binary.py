"""Scoring a binary vector: mean F1 of "on" over the elements that have a label.

Letters: F frames, V videos, D draws, C elements.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.cli.wording import counted
from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import D
from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.interface import Rules
from fusion.tasks.scoring.reliability import Reliability
from fusion.tasks.scoring.statistics import (
    detection,
    drawn_counts,
    exact_matches_of,
    f1_of,
    mean_f1_of_present,
    share,
    share_or_nan,
    unit_counts_of,
)


@dataclass(frozen=True)
class BinaryStatistics:
    """Counts of a binary vector.

    Attributes:
        units: (C, 4) int64: both on, only predicted, only true, valid elements.
        exact: (2,) int64: frames whose valid elements are all right, frames with a valid one.
    """

    units: np.ndarray
    exact: np.ndarray

    def merged(self, other: "BinaryStatistics") -> "BinaryStatistics":
        """Of both together."""
        return BinaryStatistics(self.units + other.units, self.exact + other.exact)


class BinaryScoring(Task[BinaryStatistics, D]):
    """Scores of C elements of a frame, each on or off.

    Attributes:
        thing: What an element is called in messages.
    """

    thing = "element"
    report_name = "elements"

    def score_of(self, units: np.ndarray, exact: np.ndarray, rules: Rules) -> np.ndarray:
        """(...) score from counts (..., C, 4) and (..., 2); NaN where no element is valid."""
        seen = units[..., 3] > 0
        score = share((f1_of(units[..., :3]) * seen).sum(-1), seen.sum(-1))
        return np.where(seen.any(-1), score, np.nan)

    def no_statistics(self) -> BinaryStatistics:
        """See `Task.no_statistics`."""
        return BinaryStatistics(np.zeros((len(self.names), 4), np.int64), np.zeros(2, np.int64))

    def statistics(self, labels: TaskLabels, decided: np.ndarray) -> BinaryStatistics:
        """Of F labels and (F, C) on or off."""
        if decided.shape != labels.values.shape:
            raise ValueError(f"{self.name}: predictions {decided.shape}, not {labels.values.shape}")
        return BinaryStatistics(
            unit_counts_of(labels.values, decided, labels.mask),
            exact_matches_of(labels.values, decided, labels.mask),
        )

    def official(self, statistics: BinaryStatistics, rules: Rules) -> dict[str, float]:
        """`title` alone."""
        return {self.title: float(self.score_of(statistics.units, statistics.exact, rules))}

    def class_scores(self, statistics: BinaryStatistics, rules: Rules) -> dict[str, float]:
        """F1 of each element; NaN for one without a label."""
        units = statistics.units
        f1 = np.where(units[:, 3] > 0, f1_of(units[:, :3]), np.nan)
        return dict(zip(self.names, f1.tolist(), strict=True))

    def draws(
        self, videos: Sequence[BinaryStatistics], weights: np.ndarray, rules: Rules
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """See `Task.draws`."""
        units = drawn_counts(weights, [video.units for video in videos])
        exact = drawn_counts(weights, [video.exact for video in videos])
        f1 = np.where(units[..., 3] > 0, f1_of(units[..., :3]), np.nan)
        return {self.title: self.score_of(units, exact, rules)}, dict(
            zip(self.names, f1.T, strict=True)
        )

    def counted(self, statistics: BinaryStatistics, rules: Rules) -> list[str]:
        """The elements with labels, where they are not all."""
        seen = np.flatnonzero(statistics.units[:, 3])
        if not 0 < len(seen) < len(self.names):
            return []
        names = ", ".join(self.names[i] for i in seen)
        return [f"{self.title} is over the {counted(len(seen), self.thing)} with labels: {names}"]

    def absent(self, statistics: BinaryStatistics, rules: Rules) -> list[str]:
        """Labelled elements that are on in neither truth nor prediction."""
        units = statistics.units
        found = np.flatnonzero((units[:, 3] > 0) & ~units[:, :3].any(axis=1))
        return [self.names[i] for i in found]

    def table(
        self, statistics: BinaryStatistics, rules: Rules, kept: Reliability
    ) -> dict[str, Any]:
        """Valid frames, those on in truth and prediction, precision ... calibration error."""
        counts, valid = statistics.units[:, :3], statistics.units[:, 3]
        return {
            self.thing: self.names,
            "valid": valid,
            **detection(counts, valid > 0),
            "accuracy": share_or_nan(valid - counts[:, 1:].sum(1), valid),
            "ECE": kept.errors(),
        }

    def clip_scores(self, statistics: BinaryStatistics, rules: Rules) -> dict[str, float]:
        """Accuracy, and mean F1 over the elements that occur."""
        elements = int(statistics.units[:, 3].sum())
        wrong = int(statistics.units[:, 1:3].sum())
        f1 = mean_f1_of_present(statistics.units[:, :3])
        return {
            f"{self.title} frames": int(statistics.exact[1]),
            f"{self.title} accuracy": 1 - wrong / elements if elements else math.nan,
            f"{self.title} F1": f1 if elements else math.nan,
        }

    @property
    def measures(self) -> dict[str, tuple[float, float] | None]:
        """F1 over the elements that occur."""
        return {f"{self.title} F1": (-0.02, 1.05)}

    def no_reliability(self) -> Reliability:
        """The probability of each element against its being on."""
        return Reliability.empty(len(self.names))

    def reliability(self, kept: Reliability, labels: TaskLabels, values: np.ndarray) -> None:
        """See `Task.reliability`."""
        kept.add(values, labels.values, labels.mask)

    def calibration_errors(self, kept: Reliability) -> dict[str, float]:
        """Mean over the labelled elements."""
        known = [error for error in kept.errors().tolist() if not math.isnan(error)]
        return {self.title: sum(known) / len(known) if known else math.nan}
