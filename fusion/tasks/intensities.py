"""Intensities of a whole clip: so much of each named emotion, from 0 to 1, scored by mean Pearson.

Emotional reaction intensity (ABAW 5) has seven, emotional mimicry intensity (ABAW 6, 8, 10) six.
`labels.csv` gives them in columns `intensity_NAME`, a row a clip.

    tasks:
      intensities: {names: [Admiration, Amusement, Determination, Empathic Pain, Excitement, Joy]}
"""

from dataclasses import dataclass

from fusion.tasks.base import Level
from fusion.tasks.registry import register
from fusion.tasks.scoring.values import Metric
from fusion.tasks.values import NamedValues, NamedValuesSettings


@dataclass(frozen=True)
class IntensitiesSettings(NamedValuesSettings):
    """As of `values`, with the range, level and metric of the challenges."""

    low: float = 0.0
    level: Level = "clip"
    metric: Metric = "pearson"


@register
class Intensities(NamedValues):
    """Values of a clip."""

    name, title = "intensities", "INTENSITIES"
    Settings = IntensitiesSettings
    settings: IntensitiesSettings
    table_prefix = "intensity_"
