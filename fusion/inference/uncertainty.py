"""What follows from a model's scores beside its values: derived measures, and how sure all are.

Data flow: RawScores, drawn anew by dropout > values of each draw > standard deviation over draws >
measure `uncertainty`, a column `NAME_sd` for each value and each derived one.

The deviation tells how far the model's own weights leave a value open; it knows nothing of faces
unlike all that were trained on.

Letters: F frames, C columns, N draws.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from features.cli.wording import counted
from fusion.postprocess.decision import Decision, RawScores
from fusion.tasks.measuring.measures import Column, Measure
from fusion.tasks.registry import Tasks

UNCERTAINTY = "uncertainty"
"""Name of the measure."""
SUFFIX = "_sd"
Values = Mapping[str, np.ndarray]


def measures_of(decision: Decision, raw: RawScores, values: Values) -> dict[str, Measure]:
    """Measures that follow from the scores of a clip.

    Args:
        decision: How scores become values.
        raw: The scores, with draws where uncertainties are wanted.
        values: Task to its final values (F, C).
    """
    tasks = decision.tasks
    found = derived_measures(tasks, values)
    if raw.samples:
        drawn = [decision.apply(replace(raw, scores=scores)) for scores in raw.samples]
        rows = [np.hstack([*_told(tasks, one).values()]) for one in drawn]
        columns = tuple(
            Column(
                name + SUFFIX,
                f"Standard deviation of {name} over {counted(len(rows), 'draw')} of the dropout.",
                low=0,
                origin="uncertainty",
            )
            for name in _names(tasks, found)
        )
        spread = np.std(np.stack(rows, dtype=np.float64), axis=0).astype(np.float32)
        found[UNCERTAINTY] = Measure("Uncertainty", columns, spread)
    return found


def derived_measures(tasks: Tasks, values: Values) -> dict[str, Measure]:
    """Measures that tasks tell of their values; what a task says itself is not derived as well."""
    found: dict[str, Measure] = {}
    for name, task in tasks.items():
        found |= task.further_measures(values[name])
    return {name: measure for name, measure in found.items() if name not in tasks}


def _told(tasks: Tasks, values: Values) -> dict[str, np.ndarray]:
    """All numbers of a frame, (F, C) by task and measure."""
    derived = derived_measures(tasks, values)
    return dict(values) | {name: measure.values for name, measure in derived.items()}


def _names(tasks: Tasks, derived: Mapping[str, Measure]) -> list[str]:
    """Names of the columns of `_told`."""
    own = [column for task in tasks.values() for column in task.columns]
    return own + [name for measure in derived.values() for name in measure.names]
