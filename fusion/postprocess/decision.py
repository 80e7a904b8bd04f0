"""What is chosen on validation, and how it turns a model's scores into final values.

Data flow: scores (F, 22) of ONE clip > valence-arousal and probabilities (F, C) > smoothed, frames
without a face filled (fusion/postprocess/smoothing.py) > temperature, class bias > Decided >
FramePredictions.
Six more columns, for compound expressions, are smoothed as expressions are, and nothing else.

Smoothed and interpolated are probabilities, not logits: they are bounded, so that one overconfident
frame cannot outweigh the second around it, and the mean of calibrated probabilities is the share of
the window in which a unit is on. A threshold means the same in either space.

`fusion.tune` chooses a Decision; without it a checkpoint has the neutral one, `Decision()`.

Letters: F frames of a clip, C columns of a task.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from fusion.postprocess.smoothing import NONE, Smoothing, smooth
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS, Clip

FLOOR = 1e-7
"""Least probability of an expression of which a logarithm is taken."""
SPLIT_AT = (len(DIMENSIONS), len(DIMENSIONS) + len(EXPRESSIONS))
"""Columns of scores at which expressions and units begin."""


@dataclass(frozen=True)
class RawScores:
    """What the model says of one person in one video, before anything is decided.

    Attributes:
        clip: Whose.
        times: (F,) float64 seconds.
        face: (F,) bool, whether a face was seen.
        scores: (F, 22): valence, arousal, 8 expression logits, 12 unit logits.
        compound: (F, 6) logits of the basic expressions, each by itself; None without such a head.
    """

    clip: Clip
    times: np.ndarray
    face: np.ndarray
    scores: np.ndarray
    compound: np.ndarray | None = None


class Decided(NamedTuple):
    """Final values of one clip.

    Attributes:
        va: (F, 2) float32 in [-1, 1].
        expr: (F, 8) float32 probabilities; the most probable class is the decision.
        au: (F, 12) float32 probabilities, to be held against the thresholds.
        compound: (F, 6) float32 probabilities of the basic expressions, each by itself, or None.
    """

    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray
    compound: np.ndarray | None = None


@dataclass(frozen=True)
class VaDecision:
    """For valence and arousal: how they are smoothed."""

    smoothing: Smoothing = NONE

    def values(self, smoothed: np.ndarray) -> np.ndarray:
        """(F, 2) float32 in [-1, 1]."""
        return smoothed.clip(-1, 1).astype(np.float32)


@dataclass(frozen=True)
class ExprDecision:
    """For expressions.

    Attributes:
        smoothing: Of the probabilities.
        temperature: Divides the log-probabilities, so that they mean what they say.
        bias: 8 numbers, added to the log-probabilities afterwards.
    """

    smoothing: Smoothing = NONE
    temperature: float = 1.0
    bias: tuple[float, ...] = (0.0,) * len(EXPRESSIONS)

    def values(self, smoothed: np.ndarray) -> np.ndarray:
        """(F, 8) float32 probabilities."""
        scaled = log_probabilities(smoothed) / self.temperature + np.array(self.bias)
        return softmax(scaled, axis=1).astype(np.float32)

    def compound_values(self, smoothed: np.ndarray) -> np.ndarray:
        """(F, 6) float32 probabilities; temperature and bias are of classes that exclude others."""
        return smoothed.clip(0, 1).astype(np.float32)


@dataclass(frozen=True)
class AuDecision:
    """For action units.

    Attributes:
        smoothing: Of the probabilities.
        thresholds: 12 numbers; a unit is on where its float32 probability reaches its threshold.
    """

    smoothing: Smoothing = NONE
    thresholds: tuple[float, ...] = (0.5,) * len(UNITS)

    def values(self, smoothed: np.ndarray) -> np.ndarray:
        """(F, 12) float32 probabilities."""
        return smoothed.clip(0, 1).astype(np.float32)


@dataclass(frozen=True)
class Decision:
    """What is chosen on validation, task by task; by default nothing: the neutral decision."""

    va: VaDecision = field(default_factory=VaDecision)
    expr: ExprDecision = field(default_factory=ExprDecision)
    au: AuDecision = field(default_factory=AuDecision)

    def apply(self, raw: RawScores) -> Decided:
        """Final values of one clip, whatever else is predicted with it."""
        va, expr, au = bounded(raw.scores)

        def smoothed(values: np.ndarray, smoothing: Smoothing) -> np.ndarray:
            return smooth(values, raw.times, raw.face, smoothing)

        compound = None
        if raw.compound is not None:
            kept = smoothed(expit(raw.compound), self.expr.smoothing)
            compound = self.expr.compound_values(kept)
        return Decided(
            self.va.values(smoothed(va, self.va.smoothing)),
            self.expr.values(smoothed(expr, self.expr.smoothing)),
            self.au.values(smoothed(au, self.au.smoothing)),
            compound,
        )

    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_state(state: dict[str, Any]) -> "Decision":
        """The decision that `state` was taken of."""

        def of(kind: type, task: str) -> Any:
            return kind(**state[task] | {"smoothing": Smoothing(**state[task]["smoothing"])})

        return Decision(of(VaDecision, "va"), of(ExprDecision, "expr"), of(AuDecision, "au"))


def bounded(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (F, 22) as valence-arousal and probabilities, float64, nothing decided."""
    va, expr, au = np.split(scores.astype(np.float64), SPLIT_AT, axis=1)
    return va, softmax(expr, axis=1), expit(au)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms that stay finite; a fitted parabola may leave values at or below 0."""
    return np.log(np.maximum(probabilities, FLOOR))
