"""Deciding one class of several: smoothed probabilities, temperature, class bias.

Letters: F frames of a clip, N frames of K clips, J candidates, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import Smoothing
from fusion.tasks.deciding.thresholds import best_bias, best_temperature, log_probabilities
from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.interface import S

SUM_TOLERANCE = 1e-3
"""How far probabilities of the classes may be from adding up to 1."""


@dataclass(frozen=True)
class ClassesDecision(TaskDecision):
    """For classes.

    Attributes:
        temperature: Divides the log-probabilities, so that they mean what they say.
        bias: C numbers, added to the log-probabilities afterwards; empty: none.
    """

    temperature: float = 1.0
    bias: tuple[float, ...] = ()


class ClassesDeciding(Task[S, ClassesDecision]):
    """Decisions about one of C classes of a frame.

    Attributes:
        label_column: Column that names the most probable class; empty: there is none.
    """

    label_column = ""

    def bounded(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the logits."""
        return np.asarray(softmax(scores.astype(np.float64), axis=1))

    def neutral(self) -> ClassesDecision:
        """Neither smoothing nor temperature nor bias."""
        return ClassesDecision(bias=(0.0,) * len(self.names))

    def decision_of(self, state: Mapping[str, Any]) -> ClassesDecision:
        """See `Task.decision_of`."""
        bias = tuple(state["bias"])
        return ClassesDecision(Smoothing(**state["smoothing"]), state["temperature"], bias)

    def final(self, decision: ClassesDecision, smoothed: np.ndarray) -> np.ndarray:
        """Probabilities."""
        scaled = log_probabilities(smoothed) / decision.temperature
        if decision.bias:
            scaled = scaled + np.array(decision.bias)
        return np.asarray(softmax(scaled, axis=1), np.float32)

    def decided(self, decision: ClassesDecision, values: np.ndarray) -> np.ndarray:
        """(F,) the most probable class."""
        return values.argmax(axis=1)

    def choice(self, decision: ClassesDecision) -> str:
        """Smoothing, temperature and bias."""
        bias = "".join(f" {each:+.2f}" for each in decision.bias)
        return f"{decision.smoothing}; temperature {decision.temperature:.2f}; bias{bias}"

    def said_of(self, values: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """(F,) the most probable class."""
        return values.argmax(axis=1)

    def counts(
        self, values: np.ndarray, labels: TaskLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """(K, C, C): truth by the most probable class."""
        return confusions(values.argmax(axis=1), labels, clip, clips, len(self.names))

    def count_scores(self, counts: np.ndarray) -> np.ndarray:
        """Macro-F1."""
        return macro_f1_of(counts)

    def best(self, smoothing: Smoothing, values: np.ndarray, labels: TaskLabels) -> ClassesDecision:
        """First the temperature, then the bias."""
        values, truth = values[labels.mask], labels.values[labels.mask]
        temperature = best_temperature(values, truth)
        bias = best_bias(log_probabilities(values) / temperature, truth)
        return ClassesDecision(smoothing, temperature, bias)

    def further_columns(
        self, values: np.ndarray, thresholds: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """The name of the most probable class."""
        if not self.label_column:
            return {}
        return {self.label_column: np.array(self.names)[values.argmax(axis=1)]}

    def check_values(self, values: np.ndarray) -> None:
        """Raises ValueError unless the probabilities add up to 1."""
        if (np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE).any():
            raise ValueError(f"the probabilities in {self.name} must add up to 1")


def confusions(
    said: np.ndarray, labels: TaskLabels, clip: np.ndarray, clips: int, classes: int
) -> np.ndarray:
    """(K, C, C) frames of each clip by true and said class.

    Args:
        said: (N,) classes.
        labels: N rows.
        clip: (N,) which of the clips a frame is of.
        clips: K.
        classes: C.
    """
    seen = labels.mask
    cell = (clip[seen] * classes + labels.values[seen]) * classes + said[seen]
    return np.bincount(cell, minlength=clips * classes**2).reshape(clips, classes, classes)


def macro_f1_of(counts: np.ndarray) -> np.ndarray:
    """Macro-F1 (J,) of frames (J, C, C) by true and said class; a class without any counts as 0."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    total = counts.sum(axis=-1) + counts.sum(axis=-2)
    f1 = np.divide(2.0 * hits, total, out=np.zeros(total.shape), where=total > 0)
    return np.asarray(f1.mean(axis=-1))
