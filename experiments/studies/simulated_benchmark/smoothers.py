"""Smoothers that know how what they see was made: of Gaussian processes, and of Markov chains.

Observed percepts of one clip, from any number of streams > `smooth_dimension` > valence or arousal
                                                         > `chain_posterior` > classes, units.

The first is the best linear estimate from past and future, found as one banded system of equations
with a border (the sparse form of Rauch, Tung and Striebel's smoother, 1965). The second is
forward-backward (Baum et al., 1970) in which noise that is an AR(1) process makes what is seen of a
frame depend on the frame before; the person's bias is found by two rounds of EM.

Letters: F frames, S streams, M exponentials, C states of a chain, B chains side by side, G
dimensions of the percept that a chain is seen in, K unknowns of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded
from scipy.special import logsumexp

from experiments.studies.simulation.streams import GROUPS, Stream

TIMES = np.array([3.0, 10.0, 30.0, 100.0, 300.0, np.inf])
"""Time constants in frames of which an autocovariance is made; the last is the video's level."""
EXACT = 1e-3
"""Variance of what neither state nor noise explains: rounding of the features."""
ROUNDS = 2
NEVER = 1e-300
"""Added to probabilities before their logarithm is taken."""


@dataclass(frozen=True)
class Observed:
    """The percepts of one stream on the frames whose state they show.

    Attributes:
        percept: (F, 22) float64, zero where nothing is seen.
        seen: (F,) bool.
        stream: What made them.
        keep: Correlation of the noise of two consecutive frames.
    """

    percept: np.ndarray
    seen: np.ndarray
    stream: Stream
    keep: float


def smooth_dimension(
    observed: Sequence[Observed], dimension: int, spectrum: np.ndarray
) -> np.ndarray:
    """(F,) posterior mean of valence or arousal, in standard units.

    Unknown in each frame are the processes and the streams' noises, each a first-order Markov
    chain, so that the precision matrix is banded; level and biases border it.
    """
    *slow, level, mean = spectrum.tolist()
    some = [(w, np.exp(-1 / t)) for w, t in zip(slow, TIMES, strict=False) if w > 1e-9]
    noises = [(o.stream.noise[0] ** 2, o.keep) for o in observed]
    frames, chains = len(observed[0].seen), some + noises
    size = len(chains)
    band = np.zeros((size + 1, frames, size))
    for k, (variance, keep) in enumerate(chains):
        inner = variance * (1 - keep**2)
        band[0, :, k] = (1 + keep**2) / inner
        band[0, [0, -1], k] = 1 / inner if frames > 1 else 1 / variance
        band[size, :-1, k] = -keep / inner
    border = np.diag([1 / max(level, 1e-6)] + [1 / o.stream.bias[0] ** 2 for o in observed])
    given, edges = np.zeros((frames, size, 2 + len(observed))), np.zeros(1 + len(observed))
    edges[0] = mean / max(level, 1e-6)
    for s, one in enumerate(observed):
        row = np.array([k < len(some) or k == len(some) + s for k in range(size)], float)
        seen = one.seen / EXACT
        y = seen * one.percept[:, dimension]
        for apart in range(size):
            band[apart, :, : size - apart] += seen[:, None] * row[apart:] * row[: size - apart]
        for column, amount in ((0, y), (1, seen), (2 + s, seen)):
            given[:, :, column] += amount[:, None] * row
        joint = [0, 1 + s]
        border[np.ix_(joint, joint)] += seen.sum()
        edges[joint] += y.sum()
    banded = band.reshape(size + 1, frames * size)[: frames * size]
    flat = given.reshape(frames * size, -1)
    solved = solveh_banded(banded, flat, lower=True, check_finite=False)
    across = flat[:, 1:].T @ solved
    constant = np.linalg.solve(border - across[:, 1:], edges - across[:, 0])
    unknown = (solved[:, 0] - solved[:, 1:] @ constant).reshape(frames, size)
    return np.asarray(unknown[:, : len(some)].sum(axis=1) + constant[0])


def chain_posterior(
    observed: Sequence[Observed], group: str, drawn: np.ndarray, hold: float, levels: np.ndarray
) -> np.ndarray:
    """Probabilities of the states of B chains that are seen through coloured noise.

    Args:
        observed: S streams.
        group: Part of the percept, B G dimensions.
        drawn: (F, B, C) probabilities of what is drawn where the clock strikes.
        hold: Frames between two strikes on average.
        levels: (C, G) what each state looks like.

    Returns:
        (F, B, C).
    """
    strike, number = 1 / max(hold, 1.0), drawn.shape[2]
    moves = strike * drawn[..., None] + (1 - strike) * np.eye(number)
    moves[0] = 1.0  # nothing comes before the first frame
    shape = (*drawn.shape[:2], levels.shape[1])
    rows = [o.percept[:, GROUPS[group]].reshape(shape) for o in observed]
    at = list(GROUPS).index(group)
    biases, posterior = [np.zeros(shape[1:]) for _ in observed], drawn
    for _ in range(ROUNDS):
        seen = sum(
            _evidence(o, y, b, levels, o.stream.noise[at])
            for o, y, b in zip(observed, rows, biases, strict=True)
        )
        posterior = _forward_backward(np.log(moves + NEVER) + seen, drawn[0])
        biases = [_bias(o, y - posterior @ levels, at) for o, y in zip(observed, rows, strict=True)]
    return posterior


def _evidence(
    one: Observed, y: np.ndarray, bias: np.ndarray, levels: np.ndarray, noise: float
) -> np.ndarray:
    """(F, B, C, C) log-likelihoods of a frame given the one before, by states now and before."""
    both = one.seen & np.append(False, one.seen[:-1])
    keep = (both * one.keep)[:, None, None]
    before = np.concatenate([y[:1], y[:-1]])
    left = (y - keep * before - (1 - keep) * bias) @ levels.T  # (F, B, C)
    product = levels @ levels.T
    size = np.diag(product)
    fit = left[..., :, None] - keep[..., None] * left[..., None, :]
    keep = keep[..., None]
    apart = size[:, None] - 2 * keep * product + keep**2 * size[None, :]
    weight = one.seen[:, None, None, None] / (noise**2 * (1 - keep**2))
    return np.asarray(weight * (fit - apart / 2))


def _bias(one: Observed, residual: np.ndarray, at: int) -> np.ndarray:
    """(B, G) posterior mean of the person's bias from what the states leave over."""
    deviation, noise = one.stream.bias[at], one.stream.noise[at]
    count = one.seen.sum() * (1 - one.keep) / (1 + one.keep)
    mean = residual[one.seen].mean(axis=0) if one.seen.any() else np.zeros(residual.shape[1:])
    return np.asarray(mean * deviation**2 / (deviation**2 + noise**2 / max(count, 1e-9)))


def _forward_backward(steps: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(F, B, C) posteriors of chains with (F, B, C, C) log-weights, states now by states before."""
    weights = np.exp(steps - steps.max(axis=(2, 3), keepdims=True))
    frames, number, states = steps.shape[:3]
    forward, backward = np.empty((2, frames, number, states))
    opening = np.log(first + NEVER) + np.diagonal(steps[0], axis1=1, axis2=2)
    forward[0] = np.exp(opening - logsumexp(opening, axis=1, keepdims=True))
    for t in range(1, frames):
        row = (weights[t] @ forward[t - 1, :, :, None])[..., 0]
        forward[t] = row / row.sum(axis=1, keepdims=True)
    backward[-1] = 1.0
    for t in range(frames - 1, 0, -1):
        row = (backward[t, :, None] @ weights[t])[:, 0]
        backward[t - 1] = row / row.sum(axis=1, keepdims=True)
    both = forward * backward
    return np.asarray(both / both.sum(axis=2, keepdims=True))
