"""The ceiling of a simulated benchmark: a smoother that knows how the streams were made.

tracks > percepts (embedding inverted, lag undone) > valence-arousal by a Gaussian smoother
> expressions, then units, by forward-backward > decisions fitted on training > FramePredictions.

It knows the embeddings, lags, noise and biases' deviations, the clocks and probabilities by which
expressions and units are drawn, and, from the training labels, the autocovariance of valence and
of arousal, written as a sum of exponentials. Nobody's bias is known; it is estimated with the
rest. Given these, the smoother of valence-arousal is the best linear one from its own dimension of
the percept, and forward-backward is exact for AR(1) noise but for the first frame after a gap, the
bias (two rounds of EM) and the frames' true valence-arousal, in whose place stands the estimate.
What expressions and units tell of valence-arousal is put to use by a ridge regression; what units
tell of expressions is not. All of it uses past and future. So it is near the optimum but no proven
bound, and a model that beat it would not be wrong.

CCC wants the label's deviation back, which the mean of a posterior lacks; F1 wants rare classes
sooner than accuracy does: scale, class weights and thresholds are fitted on training clips.

Letters: F frames, N labelled frames, M exponentials.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls
from sklearn.metrics import f1_score

from experiments.studies.simulated_benchmark.benchmark import Benchmark
from experiments.studies.simulated_benchmark.smoothers import (
    TIMES,
    Observed,
    chain_posterior,
    smooth_dimension,
)
from experiments.studies.simulation.states import AU_HOLD, EXPR_HOLD, ClassModel, labels_of
from experiments.studies.simulation.streams import (
    CENTRE,
    PERCEPT,
    SPREAD,
    Embedding,
    Stream,
    shown_frames,
)
from features.cli.progress import ProgressReport
from features.store.track_store import TrackStore
from fusion.data.predictions import FramePredictions
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.registry import default_tasks

LAGS = np.array([0, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300])
FIT_FRAMES = 150_000
"""Frames of training clips on which decisions are fitted."""
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
CUTS = np.linspace(0.05, 0.95, 37)


@dataclass(frozen=True)
class Smoothed:
    """Estimates of one clip: (F, 2) valence-arousal, (F, 8) and (F, 12) probabilities."""

    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray

    def features(self) -> np.ndarray:
        """(F, 27) of which the ridge regression makes valence-arousal; the last is 1."""
        squares = [self.va**2, self.va[:, :1] * self.va[:, 1:]]
        return np.concatenate([self.va, *squares, self.expr, self.au, np.ones_like(squares[1])], 1)


@dataclass(frozen=True)
class Fitted:
    """What is fitted on training clips.

    Attributes:
        ridge: (27, 2) weights.
        mean, scale: (2,) of the ridge's output, and what restores the labels' deviation.
        weights: (8,) of the expressions' probabilities.
        thresholds: (12,) float32.
    """

    ridge: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    thresholds: np.ndarray


def ceiling(
    benchmark: Benchmark, streams: Sequence[Stream], held_out: Sequence[Clip]
) -> Iterator[FramePredictions]:
    """Predictions of validation clips from some of the streams."""
    train = [clip for clip in benchmark.simulated.clips if clip.split == "train"]
    few = np.cumsum([len(c.labels) for c in train]) <= FIT_FRAMES
    few[:1] = True
    spectra = [fit_spectrum(train, i) for i in (0, 1)]
    names = " + ".join(stream.name for stream in streams)
    part = [clip for clip, chosen in zip(train, few, strict=True) if chosen]
    with ProgressReport(f"ceiling of {names}", len(part) + len(held_out)) as progress:
        known = []
        for clip in part:
            known.append(smooth(benchmark, clip, streams, spectra))
            progress.step(clip.id)
        fitted = fit_decisions(part, known)
        for clip in held_out:
            yield decided(benchmark, clip, smooth(benchmark, clip, streams, spectra), fitted)
            progress.step(clip.id)


def smooth(
    benchmark: Benchmark, clip: Clip, streams: Sequence[Stream], spectra: Sequence[np.ndarray]
) -> Smoothed:
    """Estimates of one clip from its tracks."""
    observed = [observe(benchmark, clip, stream) for stream in streams]
    rate, model = benchmark.simulated.rates[clip.id], benchmark.simulated.model
    va = np.stack([smooth_dimension(observed, i, spectra[i]) for i in (0, 1)], axis=1)
    va = (va * SPREAD + CENTRE).clip(-1, 1)
    expr = chain_posterior(
        observed, "EXPR", model.expressions(va)[:, None], EXPR_HOLD * rate, np.eye(8)
    )[:, 0]
    return Smoothed(va, expr, _units(observed, va, expr, model, AU_HOLD * rate))


def _units(
    observed: Sequence[Observed], va: np.ndarray, expr: np.ndarray, model: ClassModel, hold: float
) -> np.ndarray:
    on = model.units(va, expr)
    chances = np.stack([1 - on, on], axis=2)
    levels = np.array([[0.0], [1.0]])
    return chain_posterior(observed, "AU", chances, hold, levels)[:, :, 1]


def observe(benchmark: Benchmark, clip: Clip, stream: Stream) -> Observed:
    """Inverts a track; tokens that show the same frame are averaged."""
    track = TrackStore(benchmark.store).read(stream.name, clip.video if stream.rate else clip.id)
    rate, frames = benchmark.simulated.rates[clip.id], len(clip.labels)
    shown = shown_frames(track.times, stream, rate, track.info.frames)
    good = track.valid & (shown < frames) & (track.times + 1e-9 >= stream.lag)
    rows, count = np.zeros((frames, PERCEPT)), np.bincount(shown[good], minlength=frames)
    np.add.at(rows, shown[good], Embedding(stream, benchmark.seed).invert(track.values[good]))
    rows /= np.maximum(count, 1)[:, None]
    return Observed(rows, count > 0, stream, float(np.exp(-1 / (stream.memory * rate))))


def fit_spectrum(clips: Sequence[Clip], dimension: int) -> np.ndarray:
    """(M + 1,) variances of processes that together have the labels' autocovariance, then a mean.

    In standard units; `TIMES` are the processes' time constants, so the last variance is that of
    the videos' levels. Frames without a label are left out as if they had not been.
    """
    values = [
        (va.values[va.mask, dimension] - CENTRE[dimension]) / SPREAD[dimension]
        for va in (labels_of(clip.labels, "va") for clip in clips)
    ]
    mean = np.concatenate(values).mean()
    centred = [v - mean for v in values]
    lags = [lag for lag in LAGS if sum(len(v) > lag for v in values) * 2 > len(values)] or [0]
    pairs = [
        np.concatenate([v[lag:] * v[: max(len(v) - lag, 0)] for v in centred]).mean()
        for lag in lags
    ]
    shapes = np.exp(-np.array(lags)[:, None] / TIMES)
    return np.concatenate([nnls(shapes, np.array(pairs))[0], [mean]])


def fit_decisions(clips: Sequence[Clip], known: Sequence[Smoothed]) -> Fitted:
    """Ridge, scale, class weights and thresholds, on labelled training frames."""
    truth, features = pooled(clips, "va", [one.features() for one in known])
    square = features.T @ features + np.eye(features.shape[1])
    ridge = np.linalg.solve(square, features.T @ truth)
    fit = features @ ridge
    scale = truth.std(axis=0) / np.maximum(fit.std(axis=0), 1e-6)
    weights = best_weights(*pooled(clips, "expr", [one.expr for one in known]))
    thresholds = best_thresholds(*pooled(clips, "au", [one.au for one in known]))
    return Fitted(ridge, fit.mean(axis=0), scale, weights, thresholds)


def pooled(
    clips: Sequence[Clip], task: str, rows: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, ...) of all frames that a task labels wholly, and the rows (N, ...) of these."""
    own = [labels_of(clip.labels, task) for clip in clips]
    frames = [one.mask if one.mask.ndim == 1 else one.mask.all(axis=1) for one in own]
    labels = [one.values[m] for one, m in zip(own, frames, strict=True)]
    chosen = [row[m] for row, m in zip(rows, frames, strict=True)]
    return np.concatenate(labels), np.concatenate(chosen)


def best_weights(truth: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """(8,) weights, frequency to a negative power, that give the best macro-F1 of (N,) labels."""
    counts = np.bincount(truth, minlength=len(EXPRESSIONS))
    share = np.where(counts > 0, (counts + 1) / (len(truth) + 1), 1.0)
    if not len(truth):
        return share

    def score(power: float) -> float:
        decided = (chances * share**-power).argmax(axis=1)
        return float(f1_score(truth, decided, average="macro", zero_division=0))

    return np.asarray(share ** -max(POWERS, key=score))


def best_thresholds(truth: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """(12,) float32 thresholds with the best F1 of (N, 12) units."""
    truth = truth > 0.5
    scores = []
    for cut in CUTS:
        on = chances >= cut
        hits = (on & truth).sum(axis=0)
        scores.append(2 * hits / np.maximum(on.sum(axis=0) + truth.sum(axis=0), 1))
    best = np.argmax(scores, axis=0) if len(truth) else np.full(len(UNITS), len(CUTS) // 2)
    return CUTS[best].astype(np.float32)


def decided(
    benchmark: Benchmark, clip: Clip, smoothed: Smoothed, fitted: Fitted
) -> FramePredictions:
    """Predictions of one clip."""
    va = fitted.mean + (smoothed.features() @ fitted.ridge - fitted.mean) * fitted.scale
    expr = smoothed.expr * fitted.weights
    said = frame_predictions(benchmark, clip, va, expr, smoothed.au, fitted.thresholds)
    return replace(said, provenance={"smoother": "knows the generator"})


def frame_predictions(
    benchmark: Benchmark,
    clip: Clip,
    va: np.ndarray,
    expr: np.ndarray,
    au: np.ndarray,
    thresholds: np.ndarray,
) -> FramePredictions:
    """Predictions of one clip: values (F, 2), shares (F, 8) of any sum, probabilities (F, 12)."""
    frames = len(va)
    return FramePredictions(
        id=clip.id,
        video=clip.video,
        times=np.arange(frames) / benchmark.simulated.rates[clip.id],
        face=np.ones(frames, bool),
        tasks=default_tasks(),
        values={
            "va": va.clip(-1, 1).astype(np.float32),
            "expr": (expr / expr.sum(axis=1, keepdims=True)).astype(np.float32),
            "au": au.clip(0, 1).astype(np.float32),
        },
        thresholds={"au": thresholds},
    )
