"""Predictions of ABAW's tasks > what is submitted of each frame.

Letters: F frames of one id, C values of a task.
"""

from collections.abc import Mapping

import numpy as np

from fusion.abaw.challenges import challenge_of, compound_classes
from fusion.abaw.submission.writer import FrameDecisions
from fusion.tasks.au import ActionUnits
from fusion.tasks.registry import default_tasks
from fusion.tasks.scoring.interface import LATEST


def frame_decisions(
    values: Mapping[str, np.ndarray],
    thresholds: Mapping[str, np.ndarray],
    face: np.ndarray,
    edition: int = LATEST,
) -> FrameDecisions:
    """Values as they are submitted: most probable classes, units against their thresholds.

    Edition 2 knows no 'Other': there the most probable of the first seven counts. Compound
    expressions are decided by their own head, or without one by the probabilities of single ones.

    Args:
        values: Task to its values or probabilities (F, C). A task that is not there gets zeros,
            which mean nothing: see `fusion.abaw.rules.unlearnt`.
        thresholds: Task to the thresholds (C,) of its probabilities, of tasks that have any.
        face: (F,) bool.
        edition: Of ABAW.
    """
    nothing = {
        name: np.zeros((len(face), len(task.columns)), np.float32)
        for name, task in default_tasks().items()
    }
    said = {**nothing, **values}
    expressions = challenge_of("EXPR", edition).expressions
    units = ActionUnits().said_of(said["au"], thresholds.get("au"))
    return FrameDecisions(
        va=said["va"],
        expr=said["expr"][:, :expressions].argmax(1).astype(np.int8),
        au=units.astype(np.int8),
        ce=compound_classes(said["expr"], said.get("compound")).astype(np.int8),
        face=face,
    )
