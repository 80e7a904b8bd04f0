"""Valence-arousal files as long as Aff-Wild2's, with labels that are spread and move as its do.

figures of a split > lengths > `label_tracks` > one (F, 2) array a file > annotation files, rates.

The figures are counts, quantiles and histograms of the label files of the fifth to eighth
challenge; no label of a person is in them.

A track is a slow random curve around its video's level, drawn on a clock that stands still while
the annotator holds the joystick; pooled ranks then give it the joint histogram of the figures.

Letters: F frames of one track, N frames of all, S steps of the clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

QUANTILES = (0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1)
RATES = (30.0, 29.97, 25.0, 24.0, 23.976)
RATE_SHARES = (0.43, 0.17, 0.02, 0.01, 0.03)
"""Share of the videos that have each rate; the others lie between 18 and 29.97."""


@dataclass(frozen=True)
class SplitFigures:
    """What the files of one split are like.

    Attributes:
        folder: Name of its folder of annotations.
        files, rows: Annotated people and their label rows, one a frame.
        lengths: Frames of a file at `QUANTILES`.
        histogram: (10, 10) per cent of the rows; columns valence from -1 to 1, rows arousal from 1
            down to -1.
        zeros, ends: Shares of rows that are exactly 0, and exactly -1 or 1.
        held: Shares of steps in which the value stays; the third is of both together.
    """

    folder: str
    files: int
    rows: int
    lengths: tuple[int, ...]
    histogram: np.ndarray
    zeros: tuple[float, float]
    ends: tuple[float, float]
    held: tuple[float, float, float]


def _histogram(text: str) -> np.ndarray:
    return np.array([line.split() for line in text.strip().splitlines()], float)


TRAIN = SplitFigures(
    folder="Train_Set",
    files=356,
    rows=1_682_057,
    lengths=(263, 1220, 1796, 2640, 3899, 5405, 7968, 10528, 47435),
    histogram=_histogram("""
1.81 0.99 0.29 0.07 0.03 0.04 0.11 0.32 0.88 1.88
0.64 1.80 1.02 0.35 0.11 0.27 0.72 1.58 1.89 1.15
0.24 1.14 2.04 1.34 0.58 1.29 3.30 3.51 1.63 0.40
0.06 0.76 1.93 3.44 2.34 6.80 8.57 2.96 0.65 0.09
0.03 0.19 0.67 1.89 4.69 20.08 4.81 0.59 0.08 0.02
0.01 0.01 0.02 0.11 0.93 3.31 0.18 0.01 0.00 0.00
0.01 0.01 0.01 0.03 0.28 1.40 0.06 0.00 0.00 0.00
0.01 0.01 0.02 0.02 0.12 0.49 0.01 0.00 0.00 0.00
0.00 0.01 0.01 0.02 0.09 0.22 0.01 0.00 0.00 0.00
0.01 0.00 0.01 0.01 0.17 0.32 0.00 0.00 0.00 0.00
"""),
    zeros=(0.0507, 0.0260),
    ends=(0.0221, 0.0223),
    held=(0.652, 0.619, 0.457),
)
VALIDATION = SplitFigures(
    folder="Validation_Set",
    files=76,
    rows=383_814,
    lengths=(73, 296, 431, 1810, 4089, 8093, 10514, 11370, 18189),
    histogram=_histogram("""
1.48 1.77 0.31 0.12 0.05 0.08 0.17 0.77 1.10 2.59
0.53 1.29 0.78 0.37 0.19 0.43 1.04 2.20 2.53 1.34
0.23 0.76 0.91 0.68 0.37 1.77 3.98 4.25 1.87 0.47
0.09 0.50 1.01 0.97 0.69 8.68 10.25 4.00 0.83 0.12
0.05 0.32 0.57 0.82 1.46 23.75 8.44 1.23 0.21 0.07
0.01 0.06 0.06 0.13 0.12 0.79 0.03 0.02 0.01 0.00
0.00 0.02 0.01 0.04 0.00 0.03 0.01 0.02 0.00 0.00
0.00 0.01 0.01 0.00 0.00 0.01 0.04 0.01 0.02 0.00
0.00 0.01 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00
0.00 0.01 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00
"""),
    zeros=(0.0433, 0.0274),
    ends=(0.0175, 0.0212),
    held=(0.697, 0.654, 0.508),
)

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


def write_imitation(out: Path, scale: float = 1.0, seed: int = 0) -> None:
    """Writes annotations of both splits and the table of frame rates.

    Args:
        out: Folder to write.
        scale: Length of every file as a share of its real one.
        seed: Equal seeds write equal files.
    """
    rng, rates = np.random.default_rng(seed), ["video_name,fps\n"]
    for split in (TRAIN, VALIDATION):
        lengths = np.maximum(np.round(split_lengths(split, rng) * scale).astype(np.int64), 1)
        folder = out / "annotations" / "VA_Estimation_Challenge" / split.folder
        folder.mkdir(parents=True)
        for track in label_tracks(lengths, split, rng):
            name = str(len(rates))
            rows = (f"{valence:g},{arousal:g}\n" for valence, arousal in np.round(track, 3) + 0.0)
            (folder / f"{name}.txt").write_text("valence,arousal\n" + "".join(rows))
            draw = np.searchsorted(np.cumsum(RATE_SHARES), rng.random())
            rate = RATES[draw] if draw < len(RATES) else rng.uniform(18, 29.97)
            rates.append(f"{name}.mp4,{rate:.5g}\n")
    (out / "videos_fps.csv").write_text("".join(rates))


def split_lengths(split: SplitFigures, rng: np.random.Generator) -> np.ndarray:
    """(files,) frames in random order, with the split's quantiles and about its number of rows.

    Between two quantiles the sorted lengths rise as a power of the rank, the same for all, that
    gives the number of rows.
    """
    ranks = np.arange(split.files) / (split.files - 1)
    segment = np.clip(np.searchsorted(QUANTILES, ranks, side="right") - 1, 0, len(QUANTILES) - 2)
    start, stop = np.array(QUANTILES)[segment], np.array(QUANTILES)[segment + 1]
    low, high = np.array(split.lengths)[segment], np.array(split.lengths)[segment + 1]
    few, many = 0.05, 20.0
    for _ in range(60):
        power = (few + many) / 2
        lengths = np.round(low + (high - low) * ((ranks - start) / (stop - start)) ** power)
        few, many = (power, many) if lengths.sum() > split.rows else (few, power)
    return np.asarray(rng.permutation(lengths.astype(np.int64)))


def label_tracks(
    lengths: Sequence[int] | np.ndarray, figures: SplitFigures, rng: np.random.Generator
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
