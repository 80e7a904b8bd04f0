"""Valence-arousal tracks that are distributed and move as Aff-Wild2's labels do.

LabelFigures > lengths > `label_tracks` > one (F, 2) array a track, every row labelled.

A track is a slow random curve around its video's level, drawn on a clock that stands still while
the annotator holds the joystick; pooled ranks then give it the joint histogram of the figures.

Letters: F frames of one track, N frames of all, S steps of the clock.
"""

from collections.abc import Sequence

import numpy as np

from experiments.studies.simulation.affwild2_figures import LabelFigures

FAST, SLOW, SLOW_SHARE = 20.0, 330.0, 0.6
"""Time constants of the curve in steps of the clock, and the share of the slow part."""
SMOOTH = (8.0, 4.0)
"""Steps over which valence and arousal move smoothly (standard deviation of a Gaussian)."""
LEVEL_SHARE = (0.57, 0.31)
"""Share of the curves' variance that is the video's level, before ranks become values."""
LONG_STRETCHES = (
    (0.0, 2.0),
    (0.51, 3.6),
    (0.76, 5.6),
    (0.95, 15.6),
    (0.995, 60.0),
    (1.0, 1150.0),
)
"""Of the stretches of two frames or more in which nothing changes: share that is shorter."""
_EDGES = np.linspace(-1, 1, 11)


def label_tracks(
    lengths: Sequence[int] | np.ndarray, figures: LabelFigures, rng: np.random.Generator
) -> list[np.ndarray]:
    """Draws the tracks of one split together.

    Args:
        lengths: Frames of each track; a hundred thousand in all are enough for the histogram.
        figures: What the split is like.
        rng: Source of chance; equal states give equal tracks.

    Returns:
        One (F, 2) float64 array a length: valence and arousal in [-1, 1], not rounded.
    """
    levels = [_levels(len(lengths), rng) for _ in LEVEL_SHARE]
    changes = [_changes(frames, figures.held, rng) for frames in lengths]
    drawn = np.concatenate(
        [_curves(moves, [level[i] for level in levels], rng) for i, moves in enumerate(changes)]
    )
    values = _values(_ranks(drawn[:, 0]), _ranks(drawn[:, 1]), figures.histogram)
    moves = np.concatenate(changes)
    for column in (0, 1):
        held = np.maximum.accumulate(np.where(moves[:, column], np.arange(len(moves)), 0))
        values[:, column] = values[held, column]
        _stops(values[:, column], figures.zeros[column], figures.ends[column])
    return np.split(values, np.cumsum(lengths)[:-1])


def _levels(tracks: int, rng: np.random.Generator) -> np.ndarray:
    """(tracks,) standard normal levels in random order, stratified: few videos are to be fair."""
    normal = np.sort(rng.standard_normal((256, tracks)), axis=1).mean(axis=0)
    return np.asarray(rng.permutation((normal - normal.mean()) / max(normal.std(), 1e-9)))


def _changes(frames: int, held: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """(F, 2) bool, where valence and arousal change from the frame before; the first rows do."""
    valence, arousal, either = (1 - share for share in held)
    shares, limits = np.array(LONG_STRETCHES).T
    usual = np.exp(np.interp(np.linspace(0, 1, 10_001), shares, np.log(limits))).astype(int).mean()
    stretch = np.exp(np.interp(rng.random(frames), shares, np.log(limits))).astype(np.int64)
    stretch[rng.random(frames) < (usual - 1 / either) / (usual - 1)] = 1
    starts = np.cumsum(stretch) - stretch
    starts = starts[starts < frames]
    luck = rng.random(len(starts)) * either
    moves = np.zeros((frames, 2), bool)
    moves[starts] = np.stack([luck < valence, luck >= either - arousal], axis=1)
    moves[0] = True
    return moves


def _curves(moves: np.ndarray, levels: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """(F, 2) standard normal curves around levels; they advance where anything moves."""
    clock = np.cumsum(moves.any(axis=1)) - 1
    return np.stack(
        [
            np.sqrt(share) * level + np.sqrt(1 - share) * _curve(clock, smooth, rng)
            for share, level, smooth in zip(LEVEL_SHARE, levels, SMOOTH, strict=True)
        ],
        axis=1,
    )


def _curve(clock: np.ndarray, smooth: float, rng: np.random.Generator) -> np.ndarray:
    """(F,) values of a stationary Gaussian curve of variance 1, read at a clock's steps.

    Its spectrum is that of two Ornstein-Uhlenbeck processes, smoothed by a Gaussian.
    """
    steps = int(clock[-1]) + 1
    size = 1 << int(np.ceil(np.log2(steps + 4 * SLOW)))
    turn = 2 * np.pi * np.fft.rfftfreq(size)
    power = sum(
        share * 2 * time / (1 + (time * turn) ** 2)
        for time, share in ((FAST, 1 - SLOW_SHARE), (SLOW, SLOW_SHARE))
    ) * np.exp(-((smooth * turn) ** 2))
    power /= power.sum() * 2 / size
    noise = np.fft.rfft(rng.standard_normal(size))
    return np.asarray(np.fft.irfft(noise * np.sqrt(power), size)[:steps][clock])


def _ranks(drawn: np.ndarray) -> np.ndarray:
    """(N,) shares of draws that are smaller, strictly between 0 and 1; equal draws share one."""
    _, place, counts = np.unique(drawn, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts / 2
    return np.asarray((below / len(drawn))[place])


def _values(valence: np.ndarray, arousal: np.ndarray, histogram: np.ndarray) -> np.ndarray:
    """(N, 2) values of independent ranks (N,): arousal by its own histogram, then valence given it.

    Between the middles of two bins of arousal, the quantiles of valence are interpolated, so that
    valence does not jump where arousal passes from one bin to the next (Rosenblatt, 1952).
    """
    upward = histogram[::-1] + 1e-4  # an empty bin still needs a rising distribution
    shares = _distribution(upward.sum(axis=1))
    high = np.interp(arousal, shares, _EDGES)
    grid = np.linspace(0, 1, 4001)
    quantiles = np.stack([np.interp(grid, _distribution(row), _EDGES) for row in upward])
    place = np.clip((high + 1) * 5 - 0.5, 0, 9)
    row = np.minimum(place.astype(np.int64), 8)
    column = (valence * 4000).astype(np.int64)
    part = place - row
    across = (1 - part) * quantiles[row, column] + part * quantiles[row + 1, column]
    return np.stack([across, high], axis=1)


def _distribution(weights: np.ndarray) -> np.ndarray:
    """(B + 1,) cumulative shares at the edges of B bins."""
    return np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])


def _stops(values: np.ndarray, zeros: float, ends: float) -> None:
    """Gives (N,) values a dead zone at 0 and stops at -1 and 1 of the given shares, in place."""
    size = np.abs(values)
    dead, stop = np.quantile(size, [zeros, 1 - ends])
    values[size >= stop] = np.sign(values[size >= stop])
    values[size <= dead] = 0.0


def autocorrelation(tracks: Sequence[np.ndarray], lag: int) -> np.ndarray:
    """(2,) autocorrelation at a lag, each track's own mean removed, pooled over pairs of frames."""
    parts = [track - track.mean(axis=0) for track in tracks if len(track) > lag]
    pairs = sum((part[lag:] * part[:-lag]).sum(axis=0) for part in parts)
    size = sum(((part[lag:] ** 2 + part[:-lag] ** 2) / 2).sum(axis=0) for part in parts)
    return np.asarray(pairs / size)


def share_between(tracks: Sequence[np.ndarray]) -> np.ndarray:
    """(2,) share of the pooled variance that lies between the tracks."""
    pooled = np.concatenate(tracks)
    means = np.stack([track.mean(axis=0) for track in tracks])
    weights = np.array([len(track) for track in tracks]) / len(pooled)
    between = (weights[:, None] * (means - pooled.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(between / pooled.var(axis=0))


def share_held(tracks: Sequence[np.ndarray]) -> np.ndarray:
    """(3,) shares of steps in which valence, arousal, and both stay as they are."""
    still = np.concatenate([np.diff(track, axis=0) == 0 for track in tracks])
    return np.array([*still.mean(axis=0), still.all(axis=1).mean()])


def histogram_of(values: np.ndarray) -> np.ndarray:
    """(10, 10) per cent of (N, 2) values, laid out as `LabelFigures.histogram`."""
    bins = [np.minimum(((values[:, i] + 1) * 5).astype(np.int64), 9) for i in (0, 1)]
    counts = np.bincount(bins[1] * 10 + bins[0], minlength=100).reshape(10, 10)
    return np.asarray(counts[::-1] * 100 / len(values))
