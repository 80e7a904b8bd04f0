"""Deciding a binary vector: smoothed probabilities, a threshold for each element.

Smoothings are compared by each element's F1 at its best threshold (of 100), since a rare one may
score 0 at .5 however it is smoothed; thresholds are fitted exactly afterwards.

Letters: F frames of a clip, N frames of K clips, J candidates, C elements.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import Smoothing
from fusion.tasks.deciding.thresholds import best_thresholds
from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.interface import S

BINS = 100
"""Of probabilities, to compare smoothings."""


@dataclass(frozen=True)
class BinaryDecision(TaskDecision):
    """For a binary vector.

    Attributes:
        thresholds: C numbers; an element is on where its float32 probability reaches its own.
    """

    thresholds: tuple[float, ...] = ()


class BinaryDeciding(Task[S, BinaryDecision]):
    """Decisions about C elements of a frame, each on or off."""

    def bounded(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the logits."""
        return np.asarray(expit(scores.astype(np.float64)))

    def neutral(self) -> BinaryDecision:
        """No smoothing, thresholds of .5."""
        return BinaryDecision(thresholds=(0.5,) * len(self.names))

    def decision_of(self, state: Mapping[str, Any]) -> BinaryDecision:
        """See `Task.decision_of`."""
        return BinaryDecision(Smoothing(**state["smoothing"]), tuple(state["thresholds"]))

    def final(self, decision: BinaryDecision, smoothed: np.ndarray) -> np.ndarray:
        """Probabilities."""
        return smoothed.clip(0, 1).astype(np.float32)

    def thresholds(self, decision: BinaryDecision) -> np.ndarray:
        """(C,) float32."""
        return np.array(decision.thresholds, np.float32)

    def decided(self, decision: BinaryDecision, values: np.ndarray) -> np.ndarray:
        """(F, C) bool, whether each reaches its threshold."""
        return values >= self.thresholds(decision)

    def choice(self, decision: BinaryDecision) -> str:
        """Smoothing and thresholds."""
        named = zip(self.names, decision.thresholds, strict=True)
        return f"{decision.smoothing}; thresholds" + "".join(f" {n} {t:.2f}" for n, t in named)

    def said_of(self, values: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """(F, C) bool, whether each reaches its threshold."""
        return values >= (np.float32(0.5) if thresholds is None else thresholds)

    def counts(
        self, values: np.ndarray, labels: TaskLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """(K, C, 2, BINS): off or on, by probability."""
        count = len(self.names)
        bins = (values.clip(0, 1) * BINS).astype(np.int64).clip(max=BINS - 1)
        element = clip[:, None] * count + np.arange(count)
        cell = (element * 2 + (labels.values > 0)) * BINS + bins
        size = clips * count * 2 * BINS
        found = np.bincount(cell[labels.mask], minlength=size).astype(np.int32)
        return found.reshape(clips, count, 2, BINS)

    def count_scores(self, counts: np.ndarray) -> np.ndarray:
        """Mean F1, each at its best threshold."""
        off, on = np.moveaxis(counts[..., ::-1].cumsum(axis=-1), -2, 0)
        total = on + off + on[..., -1:]
        f1 = np.divide(2.0 * on, total, out=np.zeros(total.shape), where=total > 0)
        return f1.max(axis=-1).mean(axis=-1)

    def best(self, smoothing: Smoothing, values: np.ndarray, labels: TaskLabels) -> BinaryDecision:
        """The thresholds of highest F1."""
        said = self.final(self.neutral(), values)
        return BinaryDecision(smoothing, best_thresholds(said, labels.values, labels.mask))

    def further_columns(
        self, values: np.ndarray, thresholds: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Whether each is on."""
        on = self.said_of(values, thresholds)
        return {f"{name}_on": each for name, each in zip(self.columns, on.T, strict=True)}
