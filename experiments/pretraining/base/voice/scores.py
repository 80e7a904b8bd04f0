"""Linear probes of voices: rows of numbers > standardised logistic regression > scores by speaker.

Everything is told of speakers that the probe has not heard; errors are standard errors over
speakers (jackknife: the score without each of them in turn).

Letters: N clips, D features, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

FOLDS = 5

SHRINKAGE = 0.3
"""Of the discriminant's covariance towards a multiple of the identity."""

Fit = Callable[[np.ndarray, np.ndarray], Any]
"""Standardised rows (N, D) and labels (N,) to a classifier of scikit-learn."""
Score = Callable[[np.ndarray, np.ndarray], float]
"""Truth (N,) and what was said of it (N,) to a number."""


@dataclass(frozen=True)
class Told:
    """What was said of clips of unseen speakers.

    Attributes:
        truth: (N,) labels.
        said: (N,) labels, or scores of a yes.
        people: (N,) speakers.
    """

    truth: np.ndarray
    said: np.ndarray
    people: np.ndarray

    def part(self, chosen: np.ndarray) -> "Told":
        """The clips where a mask (N,) is true."""
        return Told(self.truth[chosen], self.said[chosen], self.people[chosen])

    def figure(self, score: Score) -> str:
        """The score and its standard error."""
        return f"{score(self.truth, self.said):.3f} ± {_error(self._without(score)):.3f}"

    def less(self, other: "Told", score: Score) -> str:
        """How much better it is than another on the same clips, with its standard error."""
        change = score(self.truth, self.said) - score(other.truth, other.said)
        parts = self._without(score) - other._without(score)
        return f"{change:+.3f} ± {_error(parts):.3f}"

    def _without(self, score: Score) -> np.ndarray:
        """Scores without each speaker."""
        rest = [self.people != person for person in np.unique(self.people)]
        return np.array([score(self.truth[r], self.said[r]) for r in rest])


def _error(without: np.ndarray) -> float:
    """The jackknife's standard error (Efron and Stein 1981)."""
    count = len(without)
    return float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Share of clips that are told rightly."""
    return float((truth == said).mean())


def recall(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over the classes of the share that is told rightly, so that no class counts more."""
    return float(np.mean([(said[truth == k] == k).mean() for k in np.unique(truth)]))


def area(truth: np.ndarray, said: np.ndarray) -> float:
    """Area under the curve."""
    return float(roc_auc_score(truth, said))


def regression(features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """Fits standardised features; the more of them, the stronger the penalty: C = 2 / D."""
    weight = "balanced" if len(np.unique(labels)) > 2 else None
    model = LogisticRegression(C=2 / features.shape[1], max_iter=300, class_weight=weight)
    return model.fit(features, labels)


def discriminant(features: np.ndarray, labels: np.ndarray) -> LinearDiscriminantAnalysis:
    """Fisher's, which knows in which directions speakers differ though they feel the same."""
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(features, labels)


def within(
    rows: np.ndarray, labels: np.ndarray, people: np.ndarray, folds: np.ndarray | None = None,
    fit: Fit = regression,
) -> Told:  # fmt: skip
    """Trained on some speakers, told of the others, in turn.

    Args:
        rows: (N, D).
        labels: (N,) of any kind; of two (0 and 1), what is said is the probability of 1.
        people: (N,) speakers.
        folds: (N,) numbers, never two for a speaker; None: five by speakers.
        fit: The probe.
    """
    folds = by_speaker(people) if folds is None else folds
    said = np.zeros(len(labels), float if set(labels) == {0, 1} else labels.dtype)
    for fold in np.unique(folds):
        test = folds == fold
        assert not set(people[test]) & set(people[~test])
        said[test] = say(rows[~test], labels[~test], rows[test], fit)
    return Told(labels, said, people)


def across(
    rows: np.ndarray, labels: np.ndarray, people: np.ndarray, corpora: np.ndarray, tested: str,
    own: bool = False,
) -> Told:  # fmt: skip
    """Trained on all corpora but one and told of that one, on classes that both have.

    Args:
        rows: (N, D).
        labels: (N,) names.
        people: (N,) speakers.
        corpora: (N,) names.
        tested: Which one is left out of training.
        own: Whether each corpus is standardised by itself: the tested one by its unlabelled clips.
    """
    if own:
        rows = standard_by(rows, corpora)
    test, train = corpora == tested, corpora != tested
    common = np.isin(labels, np.unique(labels[train])) & np.isin(labels, np.unique(labels[test]))
    train, test = train & common, test & common
    said = say(rows[train], labels[train], rows[test])
    return Told(labels[test], said, people[test])


def by_speaker(people: np.ndarray) -> np.ndarray:
    """Folds (N,) of about equal size, a speaker in one."""
    folds = np.zeros(len(people), int)
    split = GroupKFold(min(FOLDS, len(np.unique(people)))).split(folds, groups=people)
    for number, (_, test) in enumerate(split):
        folds[test] = number
    return folds


def say(rows: np.ndarray, labels: np.ndarray, new: np.ndarray, fit: Fit = regression) -> np.ndarray:
    """What a probe that was fitted to rows (N, D) and labels (N,) says of new rows."""
    scaler = StandardScaler().fit(rows)
    model = fit(scaler.transform(rows), labels)
    if set(labels) == {0, 1}:
        return np.asarray(model.predict_proba(scaler.transform(new))[:, 1])
    return np.asarray(model.predict(scaler.transform(new)))


def standard_by(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rows (N, D) at zero mean and unit variance within each group (N,)."""
    out = np.empty_like(rows)
    for group in np.unique(groups):
        out[groups == group] = StandardScaler().fit_transform(rows[groups == group])
    return out
