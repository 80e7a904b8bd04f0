"""What an evaluation or a comparison leaves: lines, and a folder of Markdown, CSV, PNG, JSON.

Evaluation + intervals > tables, pictures > `report.md`, `*.csv`, `*.png`, `scores.json`;
Comparison by score > `comparison.md`, `comparison.csv`, `comparison.png`.

All files are written by rename, so each is at any instant the old one or the whole new one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.metrics.bootstrap import Comparison, Interval
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.remarks import in_sample, remarks
from fusion.reporting.rules import Rules

if TYPE_CHECKING:  # pandas and matplotlib take a second
    import pandas as pd

    from fusion.reporting.tables import TaskTables


def format_scores(scores: Mapping[str, float]) -> str:
    """One line of scores with three digits; a task without labels shows a dash."""
    return "  ".join(
        f"{name} {'-' if value != value else f'{value:.3f}'}" for name, value in scores.items()
    )


def format_intervals(intervals: Mapping[str, Interval]) -> str:
    """One line of intervals with three digits; those without any value are left out."""
    return "  ".join(
        f"{name} {each.low:.3f} to {each.high:.3f}"
        for name, each in intervals.items()
        if each.low == each.low
    )


def format_comparison(
    comparisons: Mapping[str, Comparison], names: Sequence[str], shown_scores: Iterable[str]
) -> str:
    """A line a score: values, difference with its interval, how often the first wins.

    Args:
        comparisons: By score.
        names: What the first and the second are called.
        shown_scores: Scores to show; a folder of a comparison has every class besides.
    """
    shown = {name: comparisons[name] for name in shown_scores}
    lines = [
        f"{name:<5} {c.first:6.3f} {c.second:6.3f}  difference {c.difference:+.3f}{_chance(c)}"
        for name, c in shown.items()
        if c.difference == c.difference
    ]
    return "\n".join([f"first: {names[0]}", f"second: {names[1]}", *lines])


def _chance(comparison: Comparison) -> str:
    """How sure a difference is; empty where there were no draws."""
    each = comparison.interval
    if math.isnan(each.low):
        return ""
    chance = "" if each.excludes_zero else "  (may be chance)"
    better = f"first better in {comparison.better:.1%} of the draws"
    return f"  [{each.low:+.3f}, {each.high:+.3f}]  {better}{chance}"


def require_folder(path: Path) -> None:
    """Raises UserError if the path is a file, before any work is done for it."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: a file, but --out is a folder; name another or remove it")


def write_report(
    folder: Path,
    evaluation: Evaluation,
    intervals: Mapping[str, Interval],
    rules: Rules,
    title: str,
) -> Path:
    """Writes all tables and pictures of an evaluation, and returns the path of the report.

    Args:
        folder: Is made if it is not there.
        evaluation: At least one scored clip.
        intervals: What `rules.intervals` gives.
        rules: How scores were taken.
        title: What was scored.
    """
    from fusion.reporting import tables  # pandas
    from fusion.reporting.report_text import report_text

    of_tasks = tables.task_tables(evaluation, intervals, rules.edition)
    bins = tables.bin_table(evaluation.calibration)
    clips = tables.clip_table(evaluation, rules.edition)
    parts = {
        "scores": tables.score_table(rules.scores(evaluation), intervals),
        **{name: table for each in of_tasks for name, table in each.files().items()},
        **({"calibration": bins} if len(bins.columns) else {}),
        "clips": clips,
    }
    drawn = _pictures(evaluation, of_tasks, clips)
    _write_csv(folder, parts)
    for name, image in drawn.items():
        write_atomically(folder / f"{name}.png", image)
    write_atomically(folder / "scores.json", _json(evaluation, intervals, rules).encode())
    report = folder / "report.md"
    text = report_text(evaluation, of_tasks, parts, drawn.keys(), rules, title)
    write_atomically(report, text.encode())
    return report


def _pictures(
    evaluation: Evaluation, of_tasks: Sequence[TaskTables], clips: pd.DataFrame
) -> dict[str, bytes]:
    """The pictures, PNG, by the names of their files; none of what there is nothing to draw."""
    from fusion.reporting import figures as pictures  # pandas and matplotlib

    drawn = {
        each.confusion_name: pictures.draw_confusion(each.confusion, each.task.heading)
        for each in of_tasks
        if each.confusion is not None
    }
    if detected := [each for each in of_tasks if "F1" in each.rows]:
        drawn["f1"] = pictures.draw_f1([(each.task, each.rows) for each in detected])
    if any(task.quantities for task in evaluation.calibration.tasks.values()):
        drawn["calibration"] = pictures.draw_calibration(evaluation.calibration)
    tasks = evaluation.metrics.tasks.values()
    if measures := {name: axis for task in tasks for name, axis in task.measures.items()}:
        drawn["clips"] = pictures.draw_clips(clips, measures)
    return drawn


def write_comparison(
    folder: Path,
    comparisons: Mapping[str, Comparison],
    rules: Rules,
    names: Sequence[str],
    videos: int,
) -> Path:
    """Writes a comparison of two sets of predictions, and returns the path of its report."""
    from fusion.reporting import figures as pictures  # pandas and matplotlib
    from fusion.reporting import tables

    table = tables.comparison_table(comparisons)
    _write_csv(folder, {"comparison": table})
    write_atomically(folder / "comparison.png", pictures.draw_comparison(table, names))
    lines = [
        "# Comparison of two sets of predictions",
        f"First: {names[0]}  \nSecond: {names[1]}",
        f"Edition {rules.edition}, frames that both have. {rules.line(videos)} Both sets are scored"
        " on the same draws. `low` and `high` bound the difference first - second; `first better`"
        " is the share of draws in which the first is better.",
        tables.to_markdown(table),
        "![Differences](comparison.png)",
    ]
    path = folder / "comparison.md"
    write_atomically(path, ("\n\n".join(lines) + "\n").encode())
    return path


def _json(evaluation: Evaluation, intervals: Mapping[str, Interval], rules: Rules) -> str:
    """Scores for programs; what has no value is null."""
    metrics = evaluation.metrics
    scores = rules.scores(evaluation) | metrics.class_scores(rules.edition)
    content = {
        "edition": rules.edition,
        "clips": len(evaluation.scored),
        "videos": len(evaluation.videos()),
        "draws": rules.draws,
        "seed": rules.seed,
        "in sample": in_sample(evaluation),
        "remarks": remarks(evaluation, rules.edition),
        "scores": {name: _or_null(value) for name, value in scores.items()},
        "intervals": {
            name: [_or_null(each.low), _or_null(each.high)] for name, each in intervals.items()
        },
        "ece": {n: _or_null(v) for n, v in evaluation.calibration.errors().items()},
        "missing": evaluation.missing,
        "faults": evaluation.faults,
    }
    return json.dumps(content, indent=1, allow_nan=False)


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _write_csv(folder: Path, parts: Mapping[str, pd.DataFrame]) -> None:
    for name, table in parts.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
