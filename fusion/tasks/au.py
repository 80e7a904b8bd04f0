"""Action units: twelve units of a frame, each on or off, scored by mean binary F1."""

import numpy as np

from fusion.tasks.deciding.binary import BinaryDeciding, BinaryDecision
from fusion.tasks.learning.binary import BinaryLearning
from fusion.tasks.registry import register
from fusion.tasks.scoring.binary import BinaryScoring, BinaryStatistics
from fusion.tasks.scoring.interface import Rules
from fusion.tasks.scoring.statistics import share

UNITS = (
    "AU1",
    "AU2",
    "AU4",
    "AU6",
    "AU7",
    "AU10",
    "AU12",
    "AU15",
    "AU23",
    "AU24",
    "AU25",
    "AU26",
)


@register
class ActionUnits(
    BinaryLearning[BinaryStatistics, BinaryDecision],
    BinaryDeciding[BinaryStatistics],
    BinaryScoring[BinaryDecision],
):
    """Presence of each unit of Aff-Wild2."""

    name, title, logged = "au", "AU", "AU_F1"
    names = UNITS
    heading, thing, report_name = "Action units", "unit", "units"

    def score_of(self, units: np.ndarray, exact: np.ndarray, rules: Rules) -> np.ndarray:
        """Mean F1; in edition 2 half of it and half of the accuracy.

        That accuracy is the share of right elements, or, with `rules.exact`, of frames that are
        all right.
        """
        score = super().score_of(units, exact, rules)
        if rules.edition != 2:
            return score
        elements = units[..., 3].sum(-1)
        right = elements - units[..., 1:3].sum((-2, -1))
        whole = share(exact[..., 0], exact[..., 1])
        return np.asarray(0.5 * score + 0.5 * (whole if rules.exact else share(right, elements)))
