"""What can be read from frozen features by linear means, with standard errors.

Data flow: features, labels, folds > standardised logistic regression, whose C is chosen inside the
training folds > accuracy of each fold > `Score`.

Letters: N examples, D feature dimensions, K folds, M triplets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.pretraining.triplets import draw_triplets, triplet_accuracy

FOLDS = 5
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Values of C (inverse of the L2 penalty) to choose from."""
CHOOSING = 0.01
"""C with which features are compared."""
TRIPLETS = 4000
"""Triplets drawn in each part of the faces."""


@dataclass(frozen=True)
class Score:
    """A share with its standard error.

    Attributes:
        value: Accuracy, 0 to 1, or a difference of two.
        error: Standard error; NaN if unknown.
    """

    value: float
    error: float

    def __str__(self) -> str:
        return (
            f"{self.value:.3f} ± {self.error:.3f}"
            if np.isfinite(self.error)
            else f"{self.value:.3f}"
        )


def fold_score(folds: np.ndarray) -> Score:
    """Mean over folds (K,) and its standard error, s / sqrt(K); s with K - 1."""
    return Score(float(folds.mean()), float(folds.std(ddof=1) / np.sqrt(len(folds))))


def clustered_score(hits: np.ndarray, clusters: np.ndarray) -> Score:
    """Share of hits; the error takes examples of one cluster (person, clip) as dependent.

    Liang and Zeger 1986 for a mean: sqrt(sum over clusters of (sum of residuals)^2) / N.

    Args:
        hits: (N,) bool.
        clusters: (N,).
    """
    share = float(hits.mean())
    _, inverse = np.unique(clusters, return_inverse=True)
    sums = np.bincount(inverse, weights=hits - share)
    return Score(share, float(np.sqrt((sums**2).sum()) / len(hits)))


def grouped_folds(labels: np.ndarray, groups: np.ndarray, count: int = FOLDS) -> np.ndarray:
    """Fold of each example (N,): groups stay whole, classes are spread evenly."""
    folds = np.zeros(len(labels), int)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        folds[test] = number
    return folds


def folds_within(people: np.ndarray, groups: np.ndarray, count: int = FOLDS) -> np.ndarray:
    """Fold of each example (N,): each person's groups, which stay whole, are dealt out in turn.

    People of a single group can be in training or in test but not in both: fold -1, left out.
    """
    rng, folds = np.random.default_rng(0), np.full(len(people), -1)
    start = 0
    for person in np.unique(people):
        own = rng.permutation(np.unique(groups[people == person]))
        if len(own) < 2:
            continue
        for turn, group in enumerate(own):
            folds[(people == person) & (groups == group)] = (start + turn) % count
        start += len(own)
    return folds


def probe(
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
    inner: int = FOLDS,
) -> np.ndarray:
    """Accuracy of logistic regression on each fold (K,), trained on the others.

    Args:
        features: (N, D).
        labels: (N,).
        folds: (N,) number of the fold; -1 is left out.
        strengths: Values of C; of several, the best by the training folds is taken.
        inner: How many of the training folds, at most, are held out in turn to choose C.
    """
    return probe_best([features], labels, folds, strengths, inner)


def probe_best(
    choices: Sequence[np.ndarray],
    labels: np.ndarray,
    folds: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
    inner: int = FOLDS,
) -> np.ndarray:
    """As `probe`, of the features (N, D) among several that are best inside the training folds."""
    accuracies = []
    for number in (int(k) for k in np.unique(folds) if k >= 0):
        train, test = (folds >= 0) & (folds != number), folds == number
        told = labels[train], folds[train]
        best = choices[0]
        if len(choices) > 1:
            means = [_inner_accuracy(one[train], *told, CHOOSING, inner) for one in choices]
            best = choices[int(np.argmax(means))]
        c = choose_strength(best[train], *told, strengths, inner)
        model = _regression(c).fit(best[train], labels[train])
        accuracies.append(model.score(best[test], labels[test]))
    return np.array(accuracies)


def choose_strength(
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
    inner: int = FOLDS,
) -> float:
    """The C with the best mean accuracy over the folds; the smallest of equals."""
    if len(strengths) == 1:
        return strengths[0]
    means = [_inner_accuracy(features, labels, folds, c, inner) for c in strengths]
    return strengths[int(np.argmax(means))]


def _inner_accuracy(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, strength: float, inner: int
) -> float:
    """Mean accuracy over the first `inner` folds, each held out in turn."""
    parts = []
    for held in np.unique(folds)[:inner]:
        train, test = folds != held, folds == held
        model = _regression(strength).fit(features[train], labels[train])
        parts.append(model.score(features[test], labels[test]))
    return float(np.mean(parts))


def transfer_hits(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, test_labels: np.ndarray
) -> np.ndarray:
    """Whether a probe trained on one set is right on each example of another, (N,) bool."""
    folds = np.arange(len(labels)) % FOLDS
    c = choose_strength(features, labels, folds, inner=1)
    guess = _regression(c).fit(features, labels).predict(test_features)
    return np.asarray(guess == test_labels)


def triplet_folds(features: np.ndarray, labels: np.ndarray, count: int = FOLDS) -> np.ndarray:
    """Triplet accuracy (K,) of unit vectors in each of `count` parts of the examples.

    Parts share no example, so that their spread gives an honest error.

    Args:
        features: (N, D); scaled to unit norm here.
        labels: (N,) classes.
        count: Number of parts.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = torch.from_numpy(features / np.maximum(norms, 1e-12)).float()
    generator, accuracies = torch.Generator().manual_seed(0), []
    for part in range(count):
        vectors, classes = unit[part::count], torch.from_numpy(labels[part::count]).long()
        a, p, n = draw_triplets(classes, generator, TRIPLETS).T
        accuracies.append(triplet_accuracy(vectors[a], vectors[p], vectors[n]))
    return np.array(accuracies)


def _regression(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
