"""Expressions: one of ABAW's eight classes, scored by macro-F1; in edition 2 one of seven."""

import numpy as np

from fusion.tasks.deciding.classes import ClassesDeciding, ClassesDecision
from fusion.tasks.labels import ClipLabels, TaskLabels
from fusion.tasks.learning.classes import ClassesLearning
from fusion.tasks.measuring.circumplex import derived_affect
from fusion.tasks.measuring.measures import Measure
from fusion.tasks.registry import register
from fusion.tasks.scoring.classes import ClassesScoring, ClassesStatistics, class_counts
from fusion.tasks.scoring.interface import Rules
from fusion.tasks.scoring.statistics import share

EXPRESSIONS = (
    "Neutral",
    "Anger",
    "Disgust",
    "Fear",
    "Happiness",
    "Sadness",
    "Surprise",
    "Other",
)
"""Editions 3 and later; edition 2 has the first seven."""
OF_EDITION_2 = 7
DERIVED = "va"
"""Measure of valence and arousal; left out where the task of this name is predicted."""


@register
class Expression(
    ClassesLearning[ClassesStatistics, ClassesDecision],
    ClassesDeciding[ClassesStatistics],
    ClassesScoring[ClassesDecision],
):
    """One class a frame."""

    name, title, logged = "expr", "EXPR", "EXPR_F1"
    names = EXPRESSIONS
    heading, thing = "Expressions", "expression"
    label_column = "expression"
    # Okabe and Ito's palette, told apart with any colour vision; the two classes without a
    # direction (Neutral, Other) are greys.
    colours = (
        *("#C8C8C8", "#D55E00", "#009E73", "#CC79A7"),
        *("#F0E442", "#0072B2", "#56B4E9", "#555555"),
    )

    def counted_classes(self, rules: Rules) -> np.ndarray:
        """Edition 2 knows the first seven."""
        classes = super().counted_classes(rules)
        return classes[classes < OF_EDITION_2] if rules.edition == 2 else classes

    def score_of(self, confusion: np.ndarray, rules: Rules) -> np.ndarray:
        """Macro-F1; in edition 2 .67 macro-F1 + .33 accuracy."""
        score = super().score_of(confusion, rules)
        if rules.edition != 2:
            return score
        classes = self.counted_classes(rules)
        frames = confusion[..., classes, :].sum((-2, -1))
        right = class_counts(confusion, classes)[..., 0].sum(-1)
        return np.asarray(0.67 * score + 0.33 * share(right, frames))

    def further_measures(self, values: np.ndarray) -> dict[str, Measure]:
        """Valence and arousal, derived."""
        return {DERIVED: derived_affect(values, self.names)}


def expression_of_clip(name: str | None) -> ClipLabels:
    """One of `EXPRESSIONS` for a whole clip and no other label; None: not even that."""
    if name is None:
        return ClipLabels(1)
    known = TaskLabels(np.array([EXPRESSIONS.index(name)], np.int64), np.ones(1, bool))
    return ClipLabels(1, {Expression.name: known})
