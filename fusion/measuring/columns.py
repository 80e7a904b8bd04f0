"""What each column of a file of predictions means, as lines for people."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from fusion.data.prediction_files import read_predictions
from fusion.measuring.readings import READINGS
from fusion.tasks.base import Task
from fusion.tasks.measuring.measures import Column
from fusion.tasks.registry import Tasks

CLOCK = (
    Column("frame", "Number of the frame, from 1.", origin="measured"),
    Column("time", "Its time, from the start of the pictures.", "s", origin="measured"),
    Column("face", "Whether the person's face was seen.", origin="measured"),
)


def columns_of_file(path: Path) -> list[str]:
    """A line for each column of a file.

    Raises:
        UserError: If there is no such file, or it is damaged or something else.
    """
    predictions = read_predictions(path, renamed=True)
    measures = [c for measure in predictions.measures.values() for c in measure.columns]
    return list(_lines([*CLOCK, *_of_tasks(predictions.tasks), *measures]))


def columns_of_package() -> list[str]:
    """A line for each column that the packaged model gives."""
    import numpy as np

    from fusion.inference.checkpoint import load_checkpoint
    from fusion.inference.uncertainty import derived_measures
    from fusion.pretrained import PACKAGED

    tasks = load_checkpoint(PACKAGED, "cpu").tasks
    none: Mapping[str, np.ndarray] = {
        name: np.zeros((0, len(task.columns)), np.float32) for name, task in tasks.items()
    }
    derived = [c for m in derived_measures(tasks, none).values() for c in m.columns]
    read = [column for reading in READINGS for column in reading.columns]
    sd = "Standard deviation of NAME over draws of the model's dropout"
    rest = [
        Column("NAME_sd", f"{sd}, of all columns that the model tells.", origin="uncertainty"),
        Column("NAME_bc", "NAME less the person's own median (--baseline).", origin="corrected"),
    ]
    return list(_lines([*CLOCK, *_of_tasks(tasks), *derived, *read, *rest]))


def _of_tasks(tasks: Tasks) -> Iterator[Column]:
    for task in tasks.values():
        low, high = task.value_range()
        for column, name in zip(task.columns, task.names, strict=True):
            yield Column(column, _meaning(task, name), low=low, high=high)


def _meaning(task: Task, name: str) -> str:
    if task.kind == "classes":
        return f"Probability that the {task.thing} is {name}."
    if task.kind == "binary":
        return f"Probability of {task.thing} {name}."
    return f"{name}, as the model has learnt it."


def _lines(columns: list[Column]) -> Iterator[str]:
    wide = max(len(column.name) for column in columns)
    for column in columns:
        kind = " ".join(filter(None, [column.origin, column.unit, _span(column)]))
        yield f"{column.name:<{wide}}  {kind:<26}  {column.meaning}"


def _span(column: Column) -> str:
    """Its range in words."""
    if column.low is None or column.high is None:
        return "" if column.low is None else f"from {column.low:g}"
    return f"{column.low:g} to {column.high:g}"
