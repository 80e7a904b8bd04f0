"""What an evaluation or a comparison leaves: lines, and a folder of Markdown, CSV, PNG, JSON.

Evaluation + intervals > tables, pictures > `report.md`, `*.csv`, `*.png`, `scores.json`;
Comparison by score > `comparison.md`, `comparison.csv`, `comparison.png`.

All files are written by rename, so each is at any instant the old one or the whole new one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.cli.wording import counted
from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.metrics.bootstrap import Comparison, Interval, bootstrap
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.remarks import MARK, in_sample, remarks
from fusion.tasks.labels import TASKS

if TYPE_CHECKING:
    import pandas as pd

OFFICIAL = ("CCC_V", "CCC_A", "VA", "EXPR", "AU", "P")
"""What is shown of a comparison on the screen; its folder has every class and unit."""


@dataclass(frozen=True)
class Rules:
    """How scores and intervals are taken.

    Attributes:
        edition: Number of the challenge.
        exact: In edition 2, AU accuracy by whole frames.
        draws: Draws of the bootstrap.
        seed: Seed of the draws.
    """

    edition: int
    exact: bool
    draws: int
    seed: int

    def intervals(self, evaluation: Evaluation) -> dict[str, Interval]:
        """95 % intervals of all scores; empty with fewer than two videos."""
        videos = list(evaluation.videos().values())
        return bootstrap(videos, self.draws, self.seed, self.edition, self.exact)

    def line(self, videos: int) -> str:
        """One sentence on where the intervals come from."""
        if videos < 2 or self.draws < 1:
            return "No intervals: they need two videos and --draws above 0."
        return (
            f"95 % intervals: bootstrap over {videos} videos (all people and frames of a video"
            f" together), {counted(self.draws, 'draw')}, seed {self.seed}, percentiles."
        )


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
    comparisons: Mapping[str, Comparison], names: Sequence[str], shown_scores: Sequence[str] = ()
) -> str:
    """A line a score: values, difference with its interval, how often the first wins.

    Args:
        comparisons: By score.
        names: What the first and the second are called.
        shown_scores: Scores to show; none: the official ones.
    """
    shown = {name: comparisons[name] for name in shown_scores or OFFICIAL}
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
    from fusion.reporting import figures as pictures  # pandas and matplotlib
    from fusion.reporting import tables

    metrics, calibration = evaluation.metrics, evaluation.calibration
    parts = {
        "scores": tables.score_table(metrics.scores(rules.edition, rules.exact), intervals),
        "affect": tables.affect_table(metrics),
        "classes": tables.class_table(metrics, intervals, rules.edition),
        "confusion": tables.confusion_table(metrics, rules.edition),
        "units": tables.unit_table(metrics, intervals, calibration),
        "calibration": tables.bin_table(calibration),
        "clips": tables.clip_table(evaluation, rules.edition),
    }
    drawn = {
        "confusion": pictures.draw_confusion(parts["confusion"]),
        "f1": pictures.draw_f1(parts["classes"], parts["units"]),
        "calibration": pictures.draw_calibration(calibration),
        "clips": pictures.draw_clips(parts["clips"]),
    }
    _write_csv(folder, parts)
    for name, image in drawn.items():
        write_atomically(folder / f"{name}.png", image)
    write_atomically(folder / "scores.json", _json(evaluation, intervals, rules).encode())
    report = folder / "report.md"
    write_atomically(report, _markdown(evaluation, parts, rules, title).encode())
    return report


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


def _markdown(
    evaluation: Evaluation, parts: "Mapping[str, pd.DataFrame]", rules: Rules, title: str
) -> str:
    from fusion.reporting import tables

    errors = evaluation.calibration.errors()
    videos = len(evaluation.videos())
    faults = [f"{n}: labels but no prediction" for n in evaluation.missing]
    faults += [f"{n}: {what}" for n, what in (evaluation.faults | evaluation.remarks).items()]
    scores = evaluation.metrics.scores(rules.edition, rules.exact)
    labelled = {task: not math.isnan(scores[task]) for task in TASKS}
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
        "## Valence and arousal",
        *_if(
            labelled["VA"],
            "Bias is mean predicted - mean true; scale is the ratio of the standard deviations.",
            tables.to_markdown(parts["affect"]),
        ),
        "## Expressions",
        *_if(
            labelled["EXPR"],
            tables.to_markdown(parts["classes"]),
            "Frames, a row a true class, a column a predicted one:",
            tables.to_markdown(parts["confusion"]),
            "![Confusion](confusion.png)",
        ),
        "## Action units",
        *_if(labelled["AU"], tables.to_markdown(parts["units"])),
        *(["![F1](f1.png)"] if labelled["EXPR"] or labelled["AU"] else []),
        "## Calibration",
        f"Expected calibration error, equal-width bins: expressions (confidence of the decided"
        f" class) {_number(errors['EXPR'])}, units (mean) {_number(errors['AU'])}. The bins are in"
        " `calibration.csv`.",
        "![Calibration](calibration.png)",
        "## Clips",
        "F1 is the mean over the classes or units that occur in the clip.",
        tables.to_markdown(parts["clips"]),
        "![Clips](clips.png)",
    ]
    return "\n\n".join(lines) + "\n"


def _if(labelled: bool, *paragraphs: str) -> Sequence[str]:
    """Paragraphs of a task, or that there is nothing to say of it."""
    return paragraphs if labelled else ["No labels."]


def _json(evaluation: Evaluation, intervals: Mapping[str, Interval], rules: Rules) -> str:
    """Scores for programs; what has no value is null."""
    metrics = evaluation.metrics
    scores = metrics.scores(rules.edition, rules.exact) | metrics.class_scores(rules.edition)
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


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _write_csv(folder: Path, parts: "Mapping[str, pd.DataFrame]") -> None:
    for name, table in parts.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
