"""The report of an evaluation, as Markdown.

Evaluation + tables > `report.md`, which shows the pictures beside it.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from features.cli.wording import counted
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.remarks import MARK, in_sample, remarks
from fusion.reporting import tables
from fusion.reporting.rules import Rules
from fusion.reporting.tables import TaskTables


def report_text(
    evaluation: Evaluation,
    of_tasks: Sequence[TaskTables],
    parts: Mapping[str, pd.DataFrame],
    drawn: Collection[str],
    rules: Rules,
    title: str,
) -> str:
    """The report in Markdown.

    Args:
        evaluation: At least one scored clip.
        of_tasks: Tables of its tasks.
        parts: All tables by name.
        drawn: Names of the pictures that there are.
        rules: How scores were taken.
        title: What was scored.
    """
    videos = len(evaluation.videos())
    faults = [f"{n}: labels but no prediction" for n in evaluation.missing]
    faults += [f"{n}: {what}" for n, what in (evaluation.faults | evaluation.remarks).items()]
    scores = rules.scores(evaluation)
    labelled = [each for each in of_tasks if not math.isnan(scores[each.task.title])]
    reasons = in_sample(evaluation)
    notes = remarks(evaluation, rules.edition)
    lines = [
        f"# {MARK if reasons else ''}Scores of {title}",
        *(["\n".join(f"- {note}" for note in (*reasons, *notes))] if reasons or notes else []),
        f"{counted(len(evaluation.scored), 'clip')} of {counted(videos, 'video')},"
        f" {counted(sum(evaluation.frames.values()), 'frame')}; rules of edition {rules.edition}."
        f" {rules.line(videos)}",
        *(["Not as expected:", "\n".join(f"- {fault}" for fault in faults)] if faults else []),
        tables.to_markdown(parts["scores"]),
    ]
    for each in of_tasks:
        lines.append(f"## {each.task.heading}")
        lines += _of_task(each) if each in labelled else ["No labels."]
    lines += ["![F1](f1.png)"] if any("F1" in each.rows for each in labelled) else []
    if "calibration" in drawn:
        lines += ["## Calibration", _calibration(evaluation), "![Calibration](calibration.png)"]
    lines += ["## Clips", *_what_f1_is(of_tasks), tables.to_markdown(parts["clips"])]
    lines += ["![Clips](clips.png)"] if "clips" in drawn else []
    return "\n\n".join(lines) + "\n"


def _of_task(tables_of_task: TaskTables) -> list[str]:
    """Paragraphs of a task that has labels."""
    lines = [tables.to_markdown(tables_of_task.rows)]
    if "bias" in tables_of_task.rows:
        meant = "Bias is mean predicted - mean true; scale is the ratio of the standard deviations."
        lines.insert(0, meant)
    if tables_of_task.confusion is not None:
        lines += [
            "Frames, a row a true class, a column a predicted one:",
            tables.to_markdown(tables_of_task.confusion),
            f"![Confusion]({tables_of_task.confusion_name}.png)",
        ]
    return lines


def _calibration(evaluation: Evaluation) -> str:
    """The expected calibration errors in a sentence, and where the bins are."""
    errors, said = evaluation.calibration.errors(), []
    for task in evaluation.calibration.tasks.values():
        if task.title not in errors:
            continue
        if task.kind == "classes":
            what = f"{task.heading.lower()} (confidence of the decided class)"
        else:
            what = f"{task.thing}s (mean)"
        said.append(f"{what} {_number(errors[task.title])}")
    bins = "The bins are in `calibration.csv`."
    if not said:
        return bins
    return f"Expected calibration error, equal-width bins: {', '.join(said)}. {bins}"


def _what_f1_is(of_tasks: Sequence[TaskTables]) -> list[str]:
    """Over what F1 of a clip is the mean, if any task has it."""
    things = [
        "classes" if each.confusion is not None else f"{each.task.thing}s"
        for each in of_tasks
        if "F1" in each.rows
    ]
    what = " or ".join(dict.fromkeys(things))
    return [f"F1 is the mean over the {what} that occur in the clip."] if things else []


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
