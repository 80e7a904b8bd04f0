"""Compound expressions: seven pairs of basic ones, learnt from frames with a single one.

A head of six sigmoids says each basic expression by itself; a compound scores the sum of its two
(Liu et al., ABAW 7). What it learns from are labels of expressions, mixed in pairs
(fusion/tasks/learning/mixtures.py); labels of compounds themselves only score it.

Letters: B windows, T frames, F frames of a clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusion.tasks.deciding.classes import confusions, macro_f1_of
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import Smoothing
from fusion.tasks.deciding.values import ValuesDeciding
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import TaskLabels
from fusion.tasks.learning.interface import TaskSettings, TaskTargets
from fusion.tasks.registry import register
from fusion.tasks.scoring.classes import ClassesScoring, ClassesStatistics
from fusion.tasks.scoring.reliability import Reliability

if TYPE_CHECKING:
    from torch import Tensor, nn

COMPOUNDS = {
    "Fearfully_Surprised": ("Fear", "Surprise"),
    "Happily_Surprised": ("Happiness", "Surprise"),
    "Sadly_Surprised": ("Sadness", "Surprise"),
    "Disgustedly_Surprised": ("Disgust", "Surprise"),
    "Angrily_Surprised": ("Anger", "Surprise"),
    "Sadly_Fearful": ("Sadness", "Fear"),
    "Sadly_Angry": ("Sadness", "Anger"),
}
"""Compound expressions in the order of their numbers, each with its two basic ones."""
BASIC = slice(EXPRESSIONS.index("Anger"), EXPRESSIONS.index("Other"))
BASIC_EXPRESSIONS = EXPRESSIONS[BASIC]
"""Expressions of which compound ones are made: all but Neutral and Other."""
COMPOUND_PAIRS = np.array(
    [[BASIC_EXPRESSIONS.index(name) for name in two] for two in COMPOUNDS.values()], np.int64
)
"""(7, 2) int64: the two of each compound as indices into `BASIC_EXPRESSIONS`."""


@dataclass(frozen=True)
class CompoundSettings(TaskSettings):
    """How compound expressions are learnt.

    Attributes:
        share: Share of compound frames among those that are learnt, epoch by epoch: each number of
            epochs with its share, the last one for the rest.
    """

    share: Sequence[tuple[int, float]] = ((5, 0.0), (5, 0.2), (3, 0.4), (3, 1.0))

    def check(self, task: str) -> None:
        """See `TaskSettings.check`."""
        super().check(task)
        fine = all(epochs >= 1 and 0 <= share <= 1 for epochs, share in self.share)
        rule = "one or more pairs of epochs, at least 1, and a share from 0 to 1"
        self._require(task, "share", bool(self.share) and fine, rule)


@register
class Compound(ValuesDeciding[ClassesStatistics], ClassesScoring[TaskDecision]):
    """Six sigmoids, scored as one of seven classes."""

    name, title, kind = "compound", "CE", "binary"
    Settings = CompoundSettings
    settings: CompoundSettings
    made_of = "expr"
    by_features = True
    drawn = False
    names = tuple(COMPOUNDS)
    heading, thing = "Compound expressions", "compound"
    quantities = ()

    def empty(self, frames: int) -> TaskLabels:
        """Compounds by their numbers."""
        return TaskLabels(np.zeros(frames, np.int64), np.zeros(frames, bool))

    def in_own_order(self, labels: TaskLabels) -> TaskLabels:
        """Compounds by name."""
        places = np.array([self.names.index(name) for name in labels.names], np.int64)
        return TaskLabels(places[labels.values], labels.mask)

    def value_range(self) -> tuple[float, float]:
        """Of probabilities."""
        return 0.0, 1.0

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the six basic expressions, each by itself."""
        return tuple(f"compound_{name}" for name in BASIC_EXPRESSIONS)

    @property
    def width(self) -> int:
        """Six logits."""
        return len(BASIC_EXPRESSIONS)

    def fit(self, labels: Iterable[TaskLabels]) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def loss(self, scores: Tensor, targets: TaskTargets, fitted: Mapping[str, Tensor]) -> Tensor:
        """None: it learns by `feature_loss`."""
        return scores.sum() * 0

    def feature_loss(
        self, head: nn.Module, features: Tensor, targets: Mapping[str, TaskTargets], epoch: int
    ) -> Tensor | None:
        """Cross-entropy of the sigmoids to single expressions and mixtures of two."""
        from fusion.tasks.learning.mixtures import compound_loss, share_at

        share = share_at(epoch, self.settings.share)
        return compound_loss(head, features, targets[self.made_of], share)

    def taught(self, teacher: Tensor) -> Tensor:
        """Nothing: no teacher is asked."""
        import torch

        return torch.zeros(teacher.shape[:-1], dtype=torch.bool, device=teacher.device)

    def soft_loss(
        self,
        student: Tensor,
        teacher: Tensor,
        taught: Tensor,
        weights: Tensor,
        temperature: float,
    ) -> Tensor:
        """Nothing."""
        return student.sum() * 0

    def said(self, teacher: Tensor, like: Tensor) -> Tensor:
        """The labels: no teacher is asked."""
        return like

    def bounded(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the logits."""
        from scipy.special import expit

        return np.asarray(expit(scores.astype(np.float64)))

    def decided(self, decision: TaskDecision, values: np.ndarray) -> np.ndarray:
        """(F,) the most probable compound."""
        return compound_of(values)

    def said_of(self, values: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """(F,) the most probable compound."""
        return compound_of(values)

    def derived(self, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Zero-shot: a model's own probabilities of the six among all classes."""
        classes = values.get(self.made_of)
        return None if classes is None else classes[:, BASIC]

    def counts(
        self, values: np.ndarray, labels: TaskLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """(K, 7, 7): truth by the most probable compound."""
        return confusions(compound_of(values), labels, clip, clips, len(self.names))

    def count_scores(self, counts: np.ndarray) -> np.ndarray:
        """Macro-F1."""
        return macro_f1_of(counts)

    def best(self, smoothing: Smoothing, values: np.ndarray, labels: TaskLabels) -> TaskDecision:
        """The smoothing alone."""
        return TaskDecision(smoothing)

    def decision_of(self, state: Mapping[str, Any]) -> TaskDecision:
        """The smoothing alone: temperature and bias are of classes that exclude each other."""
        return TaskDecision(Smoothing(**state["smoothing"]))

    def no_reliability(self) -> Reliability:
        """Of nothing: the six probabilities are of expressions, not of compounds."""
        return Reliability.empty(0)

    def reliability(self, kept: Reliability, labels: TaskLabels, values: np.ndarray) -> None:
        """Nothing."""

    def calibration_errors(self, kept: Reliability) -> dict[str, float]:
        """None."""
        return {}


def compound_of(basic: np.ndarray) -> np.ndarray:
    """(F,) int64, index into `COMPOUNDS`: the pair with the highest sum.

    Neutral, one expression alone or Other cannot win by themselves.

    Args:
        basic: (F, 6) probabilities of `BASIC_EXPRESSIONS`; of a model that has not learnt
            compounds, its own of these among all classes.
    """
    return np.asarray(basic[:, COMPOUND_PAIRS].sum(axis=2).argmax(axis=1), np.int64)
