"""Deciding continuous values: smoothed, held in their range; tuned by CCC.

Letters: F frames of a clip, N frames of K clips, J candidates, C values.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import Smoothing
from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.interface import S


class ValuesDeciding(Task[S, TaskDecision]):
    """Decisions about C values of a frame."""

    def bounded(self, scores: np.ndarray) -> np.ndarray:
        """The values themselves."""
        return scores[:, : len(self.names)].astype(np.float64)

    def neutral(self) -> TaskDecision:
        """No smoothing."""
        return TaskDecision()

    def decision_of(self, state: Mapping[str, Any]) -> TaskDecision:
        """See `Task.decision_of`."""
        return TaskDecision(Smoothing(**state["smoothing"]))

    def final(self, decision: TaskDecision, smoothed: np.ndarray) -> np.ndarray:
        """Held in the range."""
        return smoothed.clip(*self.value_range()).astype(np.float32)

    def decided(self, decision: TaskDecision, values: np.ndarray) -> np.ndarray:
        """The values themselves."""
        return values

    def said_of(self, values: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """The values themselves."""
        return values

    def counts(
        self, values: np.ndarray, labels: TaskLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """(K, C, 6): frames, sums, squares and product of values and truth."""
        truth = labels.values.astype(np.float64)
        said = values.clip(*self.value_range())
        mask = labels.mask if labels.mask.ndim == 2 else labels.mask[:, None]
        terms = np.stack([np.ones_like(said), said, truth, said**2, truth**2, said * truth], axis=2)
        flat = (terms * mask[..., None]).reshape(len(said), -1)
        sums = [np.bincount(clip, weights=column, minlength=clips) for column in flat.T]
        return np.stack(sums, axis=1).reshape(clips, len(self.names), 6)

    def count_scores(self, counts: np.ndarray) -> np.ndarray:
        """Mean CCC over the values, from raw sums, which a small range allows."""
        n, x, y, xx, yy, xy = np.moveaxis(counts, -1, 0)
        spread = n * xx - x**2 + n * yy - y**2 + (x - y) ** 2
        ccc = np.divide(2 * (n * xy - x * y), spread, out=np.zeros(spread.shape), where=spread > 0)
        return ccc.mean(axis=-1)

    def best(self, smoothing: Smoothing, values: np.ndarray, labels: TaskLabels) -> TaskDecision:
        """The smoothing alone."""
        return TaskDecision(smoothing)
