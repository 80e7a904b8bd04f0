"""Continuous values of any names: engagement, pain, dominance; of a frame or a clip.

Scored by mean CCC, mean Pearson correlation, or RMSE. `labels.csv` gives them in columns
`value_NAME`.

    tasks:
      values: {names: [engagement], low: 0, high: 1}
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fusion.tasks.base import Level
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.values import ValuesDeciding
from fusion.tasks.learning.values import ValuesLearning, ValuesSettings
from fusion.tasks.registry import register
from fusion.tasks.scoring.values import Metric, ValuesScoring, ValuesStatistics


@dataclass(frozen=True)
class NamedValuesSettings(ValuesSettings):
    """Which values there are, and how they are learnt and scored.

    Attributes:
        names: What they are called, one or more.
        low, high: Their range.
        level: Whether each frame is scored, or a clip as a whole by the mean over its frames.
        metric: `ccc`, `pearson` or `rmse`, a mean over the values.
    """

    names: Sequence[str] = ()
    low: float = -1.0
    high: float = 1.0
    level: Level = "frame"
    metric: Metric = "ccc"

    def check(self, task: str) -> None:
        """See `TaskSettings.check`."""
        super().check(task)
        fine = len(set(self.names)) == len(self.names) > 0
        self._require(task, "names", fine, "one or more names, each once")
        self._require(task, "low", self.low < self.high, f"below high, which is {self.high:g}")
        self._require_choice(task, "level", Level)
        self._require_choice(task, "metric", Metric)


@register
class NamedValues(
    ValuesLearning[ValuesStatistics, TaskDecision],
    ValuesDeciding[ValuesStatistics],
    ValuesScoring[TaskDecision],
):
    """Values that the settings name; each may be labelled without the others."""

    name, title, heading = "values", "VALUES", "Values"
    Settings = NamedValuesSettings
    settings: NamedValuesSettings
    table_prefix = "value_"

    @property
    def names(self) -> tuple[str, ...]:
        """As the settings name them."""
        return tuple(self.settings.names)

    def value_range(self) -> tuple[float, float]:
        """Of the settings."""
        return self.settings.low, self.settings.high
