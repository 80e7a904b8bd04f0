"""Scoring one class of several: macro-F1 over the classes that count, or accuracy.

Letters: F frames, V videos, D draws, C classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from features.cli.wording import counted
from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import D
from fusion.tasks.labels import TaskLabels
from fusion.tasks.scoring.interface import Rules
from fusion.tasks.scoring.reliability import Reliability
from fusion.tasks.scoring.statistics import (
    confusion_of,
    detection,
    drawn_counts,
    f1_of,
    mean_f1_of_present,
    share,
)

Metric = Literal["f1", "accuracy"]


@dataclass(frozen=True)
class ClassesStatistics:
    """Counts of classes.

    Attributes:
        confusion: (C, C) int64: truth by prediction.
    """

    confusion: np.ndarray

    def merged(self, other: "ClassesStatistics") -> "ClassesStatistics":
        """Of both together."""
        return ClassesStatistics(self.confusion + other.confusion)


class ClassesScoring(Task[ClassesStatistics, D]):
    """Scores of one of C classes of a frame."""

    thing = "class"
    report_name = "classes"
    quantities: tuple[str, ...] = ("confidence",)

    @property
    def metric(self) -> Metric:
        """Which one is official."""
        return getattr(self.settings, "metric", "f1")

    def counted_classes(self, rules: Rules) -> np.ndarray:
        """(K,) int64, rising: indices of the classes that the score is the mean over."""
        kept = [i for i, n in enumerate(self.names) if not rules.classes or n in rules.classes]
        return np.array(kept, np.int64)

    def score_of(self, confusion: np.ndarray, rules: Rules) -> np.ndarray:
        """(...) score from (..., C, C) counts; NaN without any frame."""
        classes = self.counted_classes(rules)
        counts = class_counts(confusion, classes)
        frames = confusion[..., classes, :].sum((-2, -1))
        if self.metric == "accuracy":
            score = share(counts[..., 0].sum(-1), frames)
        else:
            score = f1_of(counts).mean(-1)
        return np.where(frames > 0, score, np.nan)

    def no_statistics(self) -> ClassesStatistics:
        """See `Task.no_statistics`."""
        return ClassesStatistics(np.zeros((len(self.names),) * 2, np.int64))

    def statistics(self, labels: TaskLabels, decided: np.ndarray) -> ClassesStatistics:
        """Of F labels and (F,) classes."""
        if decided.shape != labels.values.shape:
            raise ValueError(f"{self.name}: predictions {decided.shape}, not {labels.values.shape}")
        seen = labels.mask
        return ClassesStatistics(confusion_of(labels.values[seen], decided[seen], len(self.names)))

    def official(self, statistics: ClassesStatistics, rules: Rules) -> dict[str, float]:
        """`title` alone."""
        return {self.title: float(self.score_of(statistics.confusion, rules))}

    def class_scores(self, statistics: ClassesStatistics, rules: Rules) -> dict[str, float]:
        """F1 of each class that counts; NaN if no frame is labelled."""
        classes = self.counted_classes(rules)
        known = bool(statistics.confusion[classes].any())
        f1 = f1_of(class_counts(statistics.confusion, classes)).tolist()
        named = {self.names[i]: each for i, each in zip(classes, f1, strict=True)}
        return {name: each if known else math.nan for name, each in named.items()}

    def draws(
        self, videos: Sequence[ClassesStatistics], weights: np.ndarray, rules: Rules
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """See `Task.draws`."""
        confusion = drawn_counts(weights, [video.confusion for video in videos])
        classes = self.counted_classes(rules)
        frames = confusion[:, classes].sum((1, 2))[:, None]
        f1 = np.where(frames > 0, f1_of(class_counts(confusion, classes)), np.nan)
        named = dict(zip((self.names[i] for i in classes), f1.T, strict=True))
        return {self.title: self.score_of(confusion, rules)}, named

    def counted(self, statistics: ClassesStatistics, rules: Rules) -> list[str]:
        """The classes of the data set, where they are not all."""
        classes = self.counted_classes(rules)
        every = self.counted_classes(Rules(rules.edition))
        if not statistics.confusion[classes].any() or len(classes) == len(every):
            return []
        names = ", ".join(self.names[i] for i in classes)
        number = counted(len(classes), "class", "classes")
        return [f"{self.title} is over the {number} of this data set: {names}"]

    def absent(self, statistics: ClassesStatistics, rules: Rules) -> list[str]:
        """Classes in neither truth nor prediction."""
        classes = self.counted_classes(rules)
        if not statistics.confusion[classes].any():
            return []
        rows = class_counts(statistics.confusion, classes)
        return [self.names[i] for i, row in zip(classes, rows, strict=True) if not row.any()]

    def table(
        self, statistics: ClassesStatistics, rules: Rules, kept: Reliability
    ) -> dict[str, Any]:
        """Frames true and said, precision, recall, F1 of the classes that count."""
        classes = self.counted_classes(rules)
        counts = class_counts(statistics.confusion, classes)
        known = np.full(len(classes), statistics.confusion[classes].any())
        return {self.thing: [self.names[i] for i in classes], **detection(counts, known)}

    def confusion(
        self, statistics: ClassesStatistics, rules: Rules
    ) -> tuple[list[str], np.ndarray] | None:
        """See `Task.confusion`."""
        classes = self.counted_classes(rules)
        return [self.names[i] for i in classes], statistics.confusion[classes]

    def clip_scores(self, statistics: ClassesStatistics, rules: Rules) -> dict[str, float]:
        """Accuracy, and mean F1 over the classes that occur."""
        classes = self.counted_classes(rules)
        counts = class_counts(statistics.confusion, classes)
        frames = int(statistics.confusion[classes].sum())
        return {
            f"{self.title} frames": frames,
            f"{self.title} accuracy": float(counts[:, 0].sum()) / frames if frames else math.nan,
            f"{self.title} F1": mean_f1_of_present(counts),
        }

    @property
    def measures(self) -> dict[str, tuple[float, float] | None]:
        """F1 over the classes that occur."""
        return {f"{self.title} F1": (-0.02, 1.05)}

    def no_reliability(self) -> Reliability:
        """Confidence in the decided class against being right."""
        return Reliability.empty(1)

    def reliability(self, kept: Reliability, labels: TaskLabels, values: np.ndarray) -> None:
        """See `Task.reliability`."""
        said = values.argmax(axis=1)
        confidence = np.take_along_axis(values, said[:, None], axis=1)
        kept.add(confidence, (said == labels.values)[:, None], labels.mask[:, None])

    def calibration_errors(self, kept: Reliability) -> dict[str, float]:
        """Of the confidence."""
        return {self.title: float(kept.errors()[0])}


def class_counts(confusion: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(..., K, 3): both, only predicted, only true of (K,) classes, from (..., C, C) counts.

    Frames of another class do not count; to predict another one is a miss of the true class.
    """
    rows = confusion[..., classes, :]
    both = np.diagonal(rows[..., classes], axis1=-2, axis2=-1)
    predicted, true = rows.sum(-2)[..., classes], rows.sum(-1)
    return np.stack([both, predicted - both, true - both], axis=-1)
