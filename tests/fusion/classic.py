"""Labels, targets, scores and predictions of the three classic tasks, made from arrays.

Tests read their parts by short names: `labels.va`, `targets.au_mask`, `scores.va_bins`.
"""

from collections.abc import Mapping

import numpy as np
import torch

from fusion.data.predictions import FramePredictions
from fusion.losses.older_keys import modern
from fusion.metrics.official import MetricAccumulator
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.learning.interface import TaskTargets
from fusion.tasks.registry import default_tasks, make_tasks
from fusion.tasks.scoring.interface import LATEST

TASKS = default_tasks()


class ClassicLabels(FrameLabels):
    """Labels whose parts have short names: `va`, `va_mask`, ..., which may be written to."""

    def __getattr__(self, name):
        task, _, mask = name.partition("_")
        if task not in TASKS or mask not in ("", "mask"):
            raise AttributeError(name)
        labels = TASKS[task].labels_in(self)
        return labels.mask if mask else labels.values


class ClassicTargets(dict):
    """Targets of a batch whose parts have short names."""

    def __getattr__(self, name):
        task, _, mask = name.partition("_")
        if task not in self or mask not in ("", "mask"):
            raise AttributeError(name)
        return self[task].mask if mask else self[task].values


class ClassicScores(Mapping):
    """Scores whose parts have short names, each a tensor of its own; `va_bins` is (..., 2, K)."""

    def __init__(self, va, expr, au, va_bins=None):
        self.va, self.expr, self.au, self.va_bins = va, expr, au, va_bins

    def __getitem__(self, task):
        if task == "va" and self.va_bins is not None:
            return torch.cat([self.va, self.va_bins.flatten(-2)], dim=-1)
        return {"va": self.va, "expr": self.expr, "au": self.au}[task]

    def __iter__(self):
        return iter(TASKS)

    def __len__(self):
        return len(TASKS)

    def parts(self):
        """Name to tensor, of what there is."""
        return {name: part for name, part in vars(self).items() if part is not None}

    def each(self, change):
        """The scores with a change made to every part."""
        return ClassicScores(**{name: change(part) for name, part in self.parts().items()})


def classic(labels):
    """The same labels with short names for their parts; tasks that are not there are empty."""
    own = {name: task.labels_in(labels) for name, task in TASKS.items()}
    return ClassicLabels(len(labels), {**labels.by_task, **own})


def classic_labels(
    frames=0, *, va=None, va_mask=None, expr=None, expr_mask=None, au=None, au_mask=None
):
    """Labels of the tasks that are given; a mask that is not given is all True."""
    arrays = {"va": (va, va_mask), "expr": (expr, expr_mask), "au": (au, au_mask)}
    made = {}
    for name, (values, mask) in arrays.items():
        if values is None:
            continue
        like = TASKS[name].empty(len(values))
        values = np.asarray(values, like.values.dtype)
        mask = np.ones(like.mask.shape, bool) if mask is None else np.asarray(mask, bool)
        made[name] = TaskLabels(values, mask)
        frames = len(values)
    return ClassicLabels(frames, made)


def empty_labels(frames):
    """All three tasks, no label; the arrays may be written to."""
    return ClassicLabels(frames, {name: task.empty(frames) for name, task in TASKS.items()})


def classic_targets(*, va, va_mask, expr, expr_mask, au, au_mask):
    """Targets of a batch from tensors."""
    return ClassicTargets(
        va=TaskTargets(va, va_mask), expr=TaskTargets(expr, expr_mask), au=TaskTargets(au, au_mask)
    )


classic_scores = ClassicScores


def parts_of(scores):
    """The scores of a model of the three tasks, with short names for their parts."""
    va = scores["va"]
    bins = va[..., 2:].unflatten(-1, (2, -1)) if va.shape[-1] > 2 else None
    return ClassicScores(va[..., :2], scores["expr"], scores["au"], bins)


def classic_tasks(**changes):
    """The three tasks with settings under short names, as they once were.

    `va`, `expr`, `au` are weights; `va_kind`, `au_kind`, `balance`, `au_balance`,
    `label_smoothing`, `va_bins`, `bin_values` belong to one of them.
    """
    return make_tasks(modern(nested(changes))["tasks"] or dict.fromkeys(TASKS))


def nested(changes):
    """Settings with dots in their names, or older ones, as in a file."""
    model = {"va_bins", "bin_values"}
    found = {"model": {}, "loss": {}, "tasks": {}}
    for name, value in changes.items():
        found["model" if name in model else "loss"][name] = value
    return {**found, "tasks": {name: {} for name in TASKS}}


def split_columns(columns):
    """Scores (..., 22) as those of the tasks."""
    return classic_scores(columns[..., :2], columns[..., 2:10], columns[..., 10:])


def classic_predictions(
    id, video, times, face, va, expr, au, thresholds, provenance=None, compound=None
):
    """Predictions of the three tasks, and of compound expressions if they are given."""
    values, tasks = {"va": va, "expr": expr, "au": au}, dict(TASKS)
    if compound is not None:
        values["compound"] = compound
        tasks |= make_tasks({"compound": None})
    return FramePredictions(
        id, video, times, face, tasks, values, {"au": thresholds}, provenance or {}
    )


def joined(scores):
    """All scores of a frame side by side, without logits of bins: (..., 22)."""
    return torch.cat([scores["va"][..., :2], scores["expr"], scores["au"]], dim=-1)


def official_scores(labels, va, expr, au, edition=LATEST, exact=False, expressions=()):
    """Official scores of decided values of the three tasks, pooled."""
    classes = {"expr": frozenset(expressions)} if expressions else {}
    metrics = MetricAccumulator(TASKS, classes)
    metrics.add_decided(labels, {"va": va, "expr": expr, "au": au})
    return metrics.scores(edition, exact)
