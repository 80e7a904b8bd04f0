"""Valence and arousal: two values of a frame in [-1, 1], scored by mean CCC."""

from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.values import ValuesDeciding
from fusion.tasks.learning.values import ValuesLearning
from fusion.tasks.registry import register
from fusion.tasks.scoring.values import ValuesScoring, ValuesStatistics

DIMENSIONS = ("valence", "arousal")


@register
class ValenceArousal(
    ValuesLearning[ValuesStatistics, TaskDecision],
    ValuesDeciding[ValuesStatistics],
    ValuesScoring[TaskDecision],
):
    """The two are labelled together or not at all."""

    name, title = "va", "VA"
    heading, thing, report_name = "Valence and arousal", "dimension", "affect"
    names = DIMENSIONS
    parts = ("CCC_V", "CCC_A")
    together = True
    colours = ("#0072B2", "#D55E00")

    def value_range(self) -> tuple[float, float]:
        """Of Aff-Wild2's annotations."""
        return -1.0, 1.0
