"""The operating points that score best on given frames: thresholds, temperature, class bias.

Data flow: probabilities and labels of pooled frames > one number a unit, or a class.

Each is the maximum of an official score over all positions (thresholds) or over a grid (bias),
found by counting, not by trying; what it scores on the same frames is in-sample.

Letters: N frames, C classes, U units, G positions of a grid.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

FLOOR = 1e-7
"""Least probability of a class of which a logarithm is taken."""
UNTUNED = 0.5
"""Threshold of an element that is never labelled on."""
TEMPERATURES = (0.2, 10.0)
"""Least and highest temperature."""
BIASES = np.linspace(-4.0, 4.0, 81)
"""Positions of a class's bias; e^4 is 55, about the ratio of the commonest class to the rarest."""
SWEEPS = 10
"""Most rounds over the classes; they end when no class gains."""
_GAIN = 1e-6
"""A change of the macro-F1 below this is none."""


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms that stay finite; a fitted parabola may leave values at or below 0."""
    return np.log(np.maximum(probabilities, FLOOR))


def best_thresholds(
    probabilities: np.ndarray, truth: np.ndarray, mask: np.ndarray
) -> tuple[float, ...]:
    """For each unit the threshold of highest F1, exactly (see `best_threshold`).

    Args:
        probabilities: (N, U) float32.
        truth: (N, U) 0 or 1.
        mask: (N, U) bool, elements that are labelled.
    """
    return tuple(
        best_threshold(scores[seen], labels[seen] > 0)
        for scores, labels, seen in zip(probabilities.T, truth.T, mask.T, strict=True)
    )


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """Threshold of highest F1 over all positions, of equally good ones the highest.

    It lies half-way to the next lower score; 0 where it is best to call all of them on.

    Args:
        scores: (N,) float32 in [0, 1].
        truth: (N,) bool.
    """
    if not truth.any():
        return UNTUNED
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))  # equal scores go together
    f1 = 2 * hits[last] / (last + 1 + hits[-1])
    cut = last[np.argmax(f1)]
    if cut == len(ranked) - 1:
        return 0.0
    above, below = ranked[cut], ranked[cut + 1]
    middle = (above + below) / 2
    return float(middle if middle > below else above)


def best_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Temperature of least negative log-likelihood (Guo et al., 2017); 1 without labels.

    Args:
        probabilities: (N, C).
        truth: (N,) classes.
    """
    if not len(truth):
        return 1.0
    logs = log_probabilities(probabilities)
    right = logs[np.arange(len(truth)), truth].mean()

    def likelihood(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(logsumexp(logs * inverse, axis=1).mean() - right * inverse)

    bounds = tuple(np.log(TEMPERATURES))
    found = minimize_scalar(likelihood, bounds=bounds, options={"xatol": 0.01})
    return float(np.exp(found.x))


def best_bias(logs: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Class bias of highest macro-F1 that coordinate ascent finds; zeros without labels.

    Class after class goes to its best position on the grid while the others stay, until no class
    gains. The biases' mean is 0: only their differences matter.

    Args:
        logs: (N, C) log-probabilities, divided by the temperature.
        truth: (N,) classes.
    """
    scores = np.ascontiguousarray(logs.T)
    bias, best = np.zeros(len(scores)), -1.0
    for _ in range(SWEEPS if len(truth) else 0):
        before = best
        for label in range(len(scores)):
            f1 = _f1_over_grid(scores, bias, truth, label)
            top = np.flatnonzero(f1 >= f1.max() - 1e-12)
            if f1.max() > best + _GAIN:
                bias[label], best = BIASES[top[np.argmin(abs(BIASES[top]))]], f1.max()
        if best <= before + _GAIN:
            break
    return tuple((bias - bias.mean()).tolist())


def _f1_over_grid(
    scores: np.ndarray, bias: np.ndarray, truth: np.ndarray, label: int
) -> np.ndarray:
    """(G,) macro-F1 with one class's bias at each position of the grid, others as they are.

    A frame goes from its rival, the best of the other classes, to the class at the first position
    that exceeds the distance between them; so counts of frames by position tell all.

    Args:
        scores: (C, N) log-probabilities.
        bias: (C,).
        truth: (N,) classes.
        label: The class.
    """
    classes, positions = len(scores), len(BIASES)
    rival, height = _best_other(scores, bias, label)
    step = np.searchsorted(BIASES, height - scores[label], side="right")

    def counts(group: np.ndarray, step: np.ndarray) -> np.ndarray:
        """(G + 1, C) frames of each group that have changed sides at each position."""
        found = np.bincount(step * classes + group, minlength=(positions + 1) * classes)
        return found.reshape(positions + 1, classes).cumsum(axis=0)

    right = rival == truth
    won, lost, lost_right = (
        counts(truth, step),
        counts(rival, step),
        counts(rival[right], step[right]),
    )
    predicted, hits = (lost[-1] - lost)[:-1], (lost_right[-1] - lost_right)[:-1]
    predicted[:, label], hits[:, label] = won[:-1].sum(axis=1), won[:-1, label]
    total = predicted + won[-1]
    f1 = np.divide(2.0 * hits, total, out=np.zeros(total.shape), where=total > 0)
    return f1.mean(axis=1)


def _best_other(scores: np.ndarray, bias: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) best of the other classes and its biased score."""
    others = [c for c in range(len(scores)) if c != label]
    rival = np.full(scores.shape[1], others[0])
    height = scores[others[0]] + bias[others[0]]
    for other in others[1:]:
        value = scores[other] + bias[other]
        higher = value > height
        rival[higher], height = other, np.maximum(height, value)
    return rival, height
