"""Emotions of any list: one class a frame or a clip, scored by macro-F1 or accuracy.

RAVDESS's eight, AffectNet's, or two, as in ambivalence-hesitancy. `labels.csv` gives them by name
in a column `emotion`; a corpus may bring them itself.

    tasks:
      emotions: {classes: [calm, happy, sad], level: clip}
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion.tasks.base import Level
from fusion.tasks.deciding.classes import ClassesDeciding, ClassesDecision
from fusion.tasks.labels import ClipLabels, TaskLabels
from fusion.tasks.learning.classes import ClassesLearning, ClassesSettings
from fusion.tasks.registry import register
from fusion.tasks.scoring.classes import ClassesScoring, ClassesStatistics, Metric


@dataclass(frozen=True)
class EmotionsSettings(ClassesSettings):
    """Which emotions there are, and how they are learnt and scored.

    Attributes:
        classes: Their names, two or more; letter case does not count.
        level: Whether each frame is scored, or a clip as a whole by the mean over its frames.
        metric: `f1`, macro-F1, or `accuracy`.
    """

    classes: Sequence[str] = ()
    level: Level = "frame"
    metric: Metric = "f1"

    def check(self, task: str) -> None:
        """See `TaskSettings.check`."""
        super().check(task)
        names = [name.lower() for name in self.classes]
        fine = len(set(names)) == len(names) > 1
        self._require(task, "classes", fine, "the names of two or more classes, each once")
        self._require_choice(task, "level", Level)
        self._require_choice(task, "metric", Metric)


@register
class Emotions(
    ClassesLearning[ClassesStatistics, ClassesDecision],
    ClassesDeciding[ClassesStatistics],
    ClassesScoring[ClassesDecision],
):
    """One of the classes that the settings name."""

    name, title = "emotions", "EMOTIONS"
    Settings = EmotionsSettings
    settings: EmotionsSettings
    table_text = label_column = "emotion"

    @property
    def names(self) -> tuple[str, ...]:
        """As the settings name them."""
        return tuple(self.settings.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """`emotion_happy`, ..."""
        return tuple(f"emotion_{name}" for name in self.names)


def emotion_of_clip(name: str, names: Sequence[str], beside: ClipLabels) -> ClipLabels:
    """One of a data set's emotions, `names`, for a whole clip, added to its other labels."""
    number = np.array([list(names).index(name)], np.int64)
    return beside.with_task(Emotions.name, TaskLabels(number, np.ones(1, bool), tuple(names)))
