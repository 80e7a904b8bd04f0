"""Tables of an evaluation: scores, those of each task, confusion, clips, bins; a comparison.

Evaluation + intervals > pandas tables of full precision > CSV, Markdown
(fusion.reporting.score_report).

Shares, F1 and errors are 0 to 1. A score without any label is NaN, and a dash in Markdown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fusion.metrics.bootstrap import Comparison, Interval
from fusion.metrics.calibration import Calibration
from fusion.metrics.evaluation import Evaluation
from fusion.tasks.base import Task
from fusion.tasks.scoring.reliability import Reliability

NO_INTERVAL = Interval(math.nan, math.nan)


def score_table(scores: Mapping[str, float], intervals: Mapping[str, Interval]) -> pd.DataFrame:
    """One row a score: `score`, value, and the interval's two ends."""
    return pd.DataFrame(
        {"score": list(scores), "value": list(scores.values()), **_ends(list(scores), intervals)}
    )


@dataclass(frozen=True)
class TaskTables:
    """What is shown of one task.

    Attributes:
        task: The task.
        name: Of the file of `rows`.
        rows: A row a class, value or element (`Task.table`), F1 with its interval.
        confusion_name: Of the file of `confusion`.
        confusion: Frames by class, a row a true one, a column a predicted one; None without.
    """

    task: Task
    name: str
    rows: pd.DataFrame
    confusion_name: str
    confusion: pd.DataFrame | None

    def files(self) -> dict[str, pd.DataFrame]:
        """The tables by the names of their files."""
        more = {} if self.confusion is None else {self.confusion_name: self.confusion}
        return {self.name: self.rows, **more}


def task_tables(
    evaluation: Evaluation, intervals: Mapping[str, Interval], edition: int
) -> list[TaskTables]:
    """Tables of each task that is scored; files of the same name get the task's before it."""
    metrics, used, found = evaluation.metrics, set[str](), []
    for name, task in metrics.tasks.items():
        kept = evaluation.calibration.kept.get(name) or task.no_reliability()
        statistics, rules = metrics.statistics[name], metrics.rules(name, edition)
        rows = task.table(statistics, rules, kept)
        confusion = task.confusion(statistics, rules)
        files = [f if f not in used else f"{name}_{f}" for f in (task.report_name, "confusion")]
        one = TaskTables(
            task,
            files[0],
            _with_intervals(rows, task.thing, intervals),
            files[1],
            None if confusion is None else confusion_table(task, *confusion),
        )
        used |= one.files().keys()
        found.append(one)
    return found


def _with_intervals(
    columns: Mapping[str, Any], names: str, intervals: Mapping[str, Interval]
) -> pd.DataFrame:
    """A table whose F1 is followed by the ends of its interval."""
    table: dict[str, Any] = {}
    for name, column in columns.items():
        table[name] = column
        if name == "F1":
            table |= _ends(list(columns[names]), intervals)
    return pd.DataFrame(table)


def confusion_table(task: Task, true: Sequence[str], counts: np.ndarray) -> pd.DataFrame:
    """Frames by class, (K, C): a row a true class, a column a predicted one."""
    table = pd.DataFrame(counts, columns=list(task.names))
    table.insert(0, "true \\ predicted", list(true))
    return table


def clip_table(evaluation: Evaluation, edition: int) -> pd.DataFrame:
    """One row a scored clip, in order of the ids.

    F1 is the mean over the classes or elements that occur in the clip's truth or prediction: few
    clips show all of them, and the official mean would count the others as 0.
    """
    tasks, rows = evaluation.metrics.tasks, []
    for name in sorted(evaluation.scored):
        metrics = evaluation.scored[name]
        row = {
            "id": name,
            "video": evaluation.clips[name].video,
            "frames": evaluation.frames[name],
        }
        for key, task in tasks.items():
            own = metrics.statistics.get(key) or task.no_statistics()
            row |= task.clip_scores(own, metrics.rules(key, edition))
        rows.append(row)
    return pd.DataFrame(rows)


def comparison_table(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """One row a score of two sets of predictions."""
    return pd.DataFrame(
        {
            "score": list(comparisons),
            "first": [c.first for c in comparisons.values()],
            "second": [c.second for c in comparisons.values()],
            "difference": [c.difference for c in comparisons.values()],
            "low": [c.interval.low for c in comparisons.values()],
            "high": [c.interval.high for c in comparisons.values()],
            "first better": [c.better for c in comparisons.values()],
        }
    )


def bin_table(calibration: Calibration) -> pd.DataFrame:
    """One row a bin that has frames, quantity by quantity: range, frames, both means."""
    parts: dict[str, pd.DataFrame] = {}
    for task, kept in calibration.of_kinds():
        for i, quantity in enumerate(task.quantities):
            name = quantity if quantity not in parts else f"{task.title} {quantity}"
            parts[name] = _bins(name, kept, i)
    return pd.concat(parts.values(), ignore_index=True) if parts else pd.DataFrame()


def to_markdown(table: pd.DataFrame, digits: int = 3) -> str:
    """A Markdown table with aligned columns: numbers to the right, a dash for NaN."""
    columns = [[str(name), *(_cell(v, digits) for v in table[name])] for name in table]
    right = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    widths = [max(3, *map(len, cells)) for cells in columns]
    lines = [
        [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        for row in zip(*columns, strict=True)
    ]
    rule = ["-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.{digits}f}"
    return str(value).replace("|", "\\|")


def _ends(names: list[str] | tuple[str, ...], intervals: Mapping[str, Interval]) -> dict:
    found = [intervals.get(name, NO_INTERVAL) for name in names]
    return {"low": [each.low for each in found], "high": [each.high for each in found]}


def _bins(name: str, reliability: Reliability, index: int) -> pd.DataFrame:
    predicted, observed, frames = (values[index] for values in reliability.curves())
    edges = np.linspace(reliability.low, reliability.high, len(frames) + 1)
    table = pd.DataFrame(
        {
            "quantity": name,
            "from": edges[:-1],
            "to": edges[1:],
            "frames": frames.astype(np.int64),
            "mean predicted": predicted,
            "mean observed": observed,
        }
    )
    return table[table["frames"] > 0]
