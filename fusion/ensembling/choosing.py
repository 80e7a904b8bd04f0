"""Weights of an ensemble chosen for each task, with what they score: the table that is shown."""

from typing import TYPE_CHECKING

import numpy as np

from fusion.ensembling.checks import Known
from fusion.ensembling.weights import CHOOSERS, TaskFrames, cross_fitted, member_scores

if TYPE_CHECKING:
    import pandas as pd


def choose(
    frames: dict[str, TaskFrames], choice: str, names: list[str], known: Known
) -> "tuple[dict[str, np.ndarray], pd.DataFrame]":
    """Weights of each task that was judged, and a table of what each member and the ensemble score.

    Members that have not learnt a task have no weight in it.
    """
    import pandas as pd

    weights, columns = {}, {}
    for task, every in frames.items():
        able = np.flatnonzero(known[task])
        one = every.only(able)
        own = CHOOSERS[choice if len(one) else "equal"](one)
        weights[task] = np.zeros(len(names))
        weights[task][able] = own
        if not len(one):
            continue
        columns[one.task.title] = {
            **dict(zip([names[index] for index in able], member_scores(one), strict=True)),
            "all, equal": one.score(one.said(CHOOSERS["equal"](one))),
            f"{choice}, in-sample": one.score(one.said(own)),
            f"{choice}, cross-fitted": cross_fitted(one, CHOOSERS[choice]),
        }
    return weights, pd.DataFrame(columns)
