"""Compound expressions against labels: `python -m fusion.evaluate --challenge CE`.

labels of CE_Challenge + predictions of the same ids > counts of each video > macro-F1 over the
seven compounds, its 95 % interval, F1 of each > lines, and a folder of tables.

The challenge publishes no labels, so these are the user's own, or of a data set of compounds.

Letters: F frames of a clip, C compounds, V videos, B draws.
"""

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.abaw.challenges import COMPOUNDS, compound_classes
from fusion.abaw.reading.compound import CompoundLabels
from fusion.data.predictions import FramePredictions
from fusion.metrics.bootstrap import FEWEST_VIDEOS, Comparison, Interval, draw_videos, paired
from fusion.metrics.bootstrap import intervals as intervals_of
from fusion.metrics.evaluation import Marked, compare_lengths, learnt_by
from fusion.metrics.official import UndefinedScore
from fusion.metrics.remarks import MARK, in_sample, remarks
from fusion.metrics.sufficient_statistics import confusion_of, f1_of, one_against_rest
from fusion.reporting import tables
from fusion.reporting.figures import draw_confusion
from fusion.reporting.score_report import format_intervals, format_scores

NAMES = tuple(COMPOUNDS)
EXPR = "expr"
"""Task whose labels compounds are derived from, and which a model must have learnt."""


@dataclass
class CompoundEvaluation(Marked):
    """What is known of predictions after they were held against labels of compounds.

    Attributes:
        labels: By id.
        scored: (C, C) int64 counts of each clip, truth by prediction, by id.
        video: Of each scored clip.
        remarks: Id to what is odd, though scored.
        faults: Id to what is wrong.
    """

    labels: Mapping[str, CompoundLabels] = field(default_factory=dict)
    scored: dict[str, np.ndarray] = field(default_factory=dict)
    video: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def add(self, predictions: FramePredictions) -> None:
        """Scores one clip.

        Raises:
            UserError: If the model has learnt neither compounds nor expressions.
        """
        if predictions.compound is None and EXPR not in learnt_by(predictions):
            raise UserError(
                f"{predictions.id}: its model has not learnt expressions, of which compounds are"
                " made; train with labels of EXPR"
            )
        labels, name = self.labels[predictions.id], predictions.id
        compare_lengths(self, name, len(labels), len(predictions))
        rows = min(len(labels), len(predictions))
        seen = labels.mask[:rows]
        said = compound_classes(predictions.expr, predictions.compound)[:rows]
        self.mark(predictions, [EXPR])
        self.scored[name] = confusion_of(labels.values[:rows][seen], said[seen], len(NAMES))
        self.video[name] = predictions.video

    @property
    def missing(self) -> list[str]:
        """Ids of labelled clips of which there is no prediction, in order."""
        return sorted(self.labels.keys() - self.scored.keys() - self.faults.keys())

    def videos(self) -> list[np.ndarray]:
        """(V) counts (C, C), one a video with all its people, in order of the ids."""
        pooled: dict[str, np.ndarray] = {}
        for name in sorted(self.scored):
            video = self.video[name]
            pooled[video] = pooled.get(video, 0) + self.scored[name]
        return [counts for _, counts in sorted(pooled.items())]

    def scores(self) -> dict[str, float]:
        """`CE` and F1 of each compound; NaN without a labelled frame."""
        videos = self.videos()
        found = _scores(np.sum(videos, axis=0)[None]) if videos else _scores(np.zeros((1, 7, 7)))
        absent = [name for name in NAMES if found[name][0] == 0 and not self._occurs(name)]
        if absent and not math.isnan(found["CE"][0]):
            text = f"neither labelled nor predicted, so F1 is 0: {', '.join(absent)}"
            warnings.warn(text, UndefinedScore, stacklevel=2)
        return {name: float(values[0]) for name, values in found.items()}

    def intervals(self, draws: int, seed: int) -> dict[str, Interval]:
        """95 % intervals by video; empty with fewer than two videos or without draws."""
        videos = self.videos()
        if len(videos) < FEWEST_VIDEOS or draws < 1:
            return {}
        return intervals_of(_of_draws(videos, draw_videos(len(videos), draws, seed)))

    def _occurs(self, name: str) -> bool:
        index, pooled = NAMES.index(name), np.sum(self.videos(), axis=0)
        return bool(pooled[index].any() or pooled[:, index].any())


def compare_compounds(
    first: CompoundEvaluation, second: CompoundEvaluation, draws: int, seed: int
) -> dict[str, Comparison]:
    """Compares two sets of predictions of the same clips by the same draws of videos."""
    return paired(_of_draws, first.videos(), second.videos(), draws, seed)


def lines_of(evaluation: CompoundEvaluation, intervals: Mapping[str, Interval]) -> list[str]:
    """Scores, and their intervals if there are any, each marked if they are in-sample."""
    mark = MARK if in_sample(evaluation) else ""
    scores = evaluation.scores()
    lines = [format_scores({"CE": scores.pop("CE")}), format_scores(scores)]
    if intervals:
        lines.append(format_intervals({"CE": intervals["CE"]}))
    return [mark + line for line in lines]


def write_compound_report(
    folder: Path,
    evaluation: CompoundEvaluation,
    intervals: Mapping[str, Interval],
    notes: Iterable[str],
    title: str,
) -> Path:
    """Writes tables and a picture, and returns the path of the report."""
    counts = np.sum(evaluation.videos(), axis=0)
    scores = evaluation.scores()
    confusion = pd.DataFrame(counts, columns=list(NAMES))
    confusion.insert(0, "true \\ predicted", list(NAMES))
    parts = {
        "scores": tables.score_table(scores, intervals),
        "classes": tables.detection_table("compound", NAMES, one_against_rest(counts), intervals),
        "confusion": confusion,
    }
    for name, table in parts.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
    write_atomically(folder / "confusion.png", draw_confusion(confusion))
    content = {
        "scores": {name: None if math.isnan(v) else v for name, v in scores.items()},
        "intervals": {name: [one.low, one.high] for name, one in intervals.items()},
        "in sample": in_sample(evaluation),
        "missing": evaluation.missing,
        "faults": evaluation.faults,
    }
    write_atomically(folder / "scores.json", json.dumps(content, indent=1).encode())
    lines = [
        f"# {MARK if in_sample(evaluation) else ''}Compound expressions of {title}",
        "\n".join(f"- {note}" for note in notes),
        *(tables.to_markdown(table) for table in parts.values()),
        "![Confusion](confusion.png)",
    ]
    path = folder / "report.md"
    write_atomically(path, ("\n\n".join(lines) + "\n").encode())
    return path


def notes_of(evaluation: CompoundEvaluation) -> list[str]:
    """Why scores are in-sample, and what else is to be said of them."""
    return [*in_sample(evaluation), *remarks(evaluation)]


def _of_draws(videos: Sequence[np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """(B,) scores of draws (B, V) of the videos' counts."""
    return _scores(np.tensordot(weights, np.stack(videos).astype(np.float64), axes=1))


def _scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(B,) `CE` and F1 of each compound from (B, C, C) counts; NaN without a frame."""
    frames = counts.sum((1, 2))[:, None]
    f1 = np.where(frames > 0, f1_of(one_against_rest(counts)), np.nan)
    return {"CE": f1.mean(axis=1), **dict(zip(NAMES, f1.T, strict=True))}
