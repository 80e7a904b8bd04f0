"""Baselines of a simulated benchmark that look at no other frame: constant and linear.

Benchmark + validation clips > FramePredictions of each.

Letters: F frames, N training frames that are looked at, D dimensions of all streams, C classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge

from experiments.studies.simulated_benchmark.benchmark import Benchmark
from experiments.studies.simulated_benchmark.ceiling import (
    best_thresholds,
    best_weights,
    frame_predictions,
)
from experiments.studies.simulation.states import labels_of
from features.store.track_store import TrackStore
from fusion.data.loading.config import DataSettings
from fusion.data.predictions import FramePredictions
from fusion.streams.clip_streams import load_clip
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import one_after_another
from fusion.tasks.registry import DEFAULT

FIT_FRAMES = 30_000
"""Training frames that are looked at, evenly taken."""


def constant(benchmark: Benchmark, clips: Sequence[Clip]) -> Iterator[FramePredictions]:
    """The training mean, the most frequent expression, and every unit on, which F1 likes best."""
    train = [clip.labels for clip in benchmark.simulated.clips if clip.split == "train"]
    labels = one_after_another(train)
    known, classes = labels_of(labels, "va"), labels_of(labels, "expr")
    va = known.values[known.mask].mean(axis=0)
    counts = np.bincount(classes.values[classes.mask], minlength=8)
    expr = np.eye(len(EXPRESSIONS))[int(np.argmax(counts))]
    for clip in clips:
        va_rows, expr_rows, au_rows = (
            np.tile(row, (len(clip.labels), 1)) for row in (va, expr, np.ones(len(UNITS)))
        )
        halves = np.full(len(UNITS), 0.5, np.float32)
        yield frame_predictions(benchmark, clip, va_rows, expr_rows, au_rows, halves)


def linear(benchmark: Benchmark, clips: Sequence[Clip]) -> Iterator[FramePredictions]:
    """Ridge and logistic regression of single frames of all streams, as a model gets them.

    The ridge is stretched to the training labels' deviation; weights of the expressions and
    thresholds of the units are chosen on the training frames too.
    """
    known = [clip for clip in benchmark.simulated.clips if clip.split == "train"]
    step = max(sum(len(clip.labels) for clip in known) // FIT_FRAMES, 1)
    seen = [features_of(benchmark, clip)[::step] for clip in known]
    every = one_after_another([clip.labels.at(slice(None, None, step)) for clip in known])
    rows, values, classes, on = np.concatenate(seen), *(labels_of(every, t) for t in DEFAULT)
    mean, std = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    rows = (rows - mean) / std
    truth = values.values[values.mask]
    ridge = Ridge(10.0).fit(rows[values.mask], truth)
    fit = ridge.predict(rows[values.mask])
    stretch = truth.std(axis=0) / np.maximum(fit.std(axis=0), 1e-6)
    told = classes.values[classes.mask]
    expr = Classes.fitted(rows[classes.mask], told, len(EXPRESSIONS))
    weights = best_weights(told, expr.chances(rows[classes.mask]))
    whole = on.mask.all(axis=1)
    units = [Classes.fitted(rows[whole], on.values[whole, u] > 0.5, 2) for u in range(len(UNITS))]
    chances = np.stack([unit.chances(rows[whole])[:, 1] for unit in units], axis=1)
    thresholds = best_thresholds(on.values[whole], chances)
    for clip in clips:
        rows = (features_of(benchmark, clip) - mean) / std
        va = fit.mean(axis=0) + (ridge.predict(rows) - fit.mean(axis=0)) * stretch
        au = np.stack([unit.chances(rows)[:, 1] for unit in units], axis=1)
        yield frame_predictions(benchmark, clip, va, expr.chances(rows) * weights, au, thresholds)


class Classes(NamedTuple):
    """Logistic regression of classes of which some may not occur.

    Attributes:
        weights: (D, C).
        offsets: (C,), far below 0 for a class that does not occur.
    """

    weights: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def fitted(rows: np.ndarray, classes: np.ndarray, number: int) -> "Classes":
        """Fits (N, D) rows to (N,) class numbers."""
        weights, offsets = np.zeros((rows.shape[1], number)), np.full(number, -30.0)
        present = np.unique(classes.astype(np.int64))
        if len(present) < 2:
            offsets[present] = 0.0
            return Classes(weights, offsets)
        model = LogisticRegression(C=0.01, max_iter=300).fit(rows, classes.astype(np.int64))
        if len(present) == 2:  # one row of weights: the second class against the first
            weights[:, present[1]], offsets[present] = model.coef_[0], (0, model.intercept_[0])
        else:
            weights[:, present], offsets[present] = model.coef_.T, model.intercept_
        return Classes(weights, offsets)

    def chances(self, rows: np.ndarray) -> np.ndarray:
        """(N, C) probabilities."""
        return np.asarray(softmax(rows @ self.weights + self.offsets, axis=1))


def features_of(benchmark: Benchmark, clip: Clip) -> np.ndarray:
    """(F, D) aligned streams side by side, and whether each is there."""
    dims = {stream.name: stream.dim for stream in benchmark.streams}
    data = load_clip(TrackStore(benchmark.store), clip, dims, DataSettings().align_window)
    if data is None:
        raise ValueError(f"{clip.id} has no tracks")
    values = [data.streams[name][:].astype(np.float32) for name in dims]
    return np.concatenate([*values, *(data.valid[name][:, None] for name in dims)], axis=1)
