"""Linear models of clips: moments of streams > standardised > logits > late fusion by their sum.

Two kinds: logistic regression, which the published anchors are, and Fisher's discriminant with a
shrunken covariance, which knows in which directions people differ though they feel the same.

Letters: N clips, D features, K emotions, M streams.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusion.corpora.readers.ravdess import EMOTIONS

Fitted = Callable[[np.ndarray], np.ndarray]
"""Features (N, D) to log-probabilities (N, K)."""
Fit = Callable[[np.ndarray, np.ndarray], Fitted]
"""Features (N, D) and labels (N,) to what was fitted."""


def constant(features: np.ndarray, labels: np.ndarray) -> Fitted:
    """The shares of the emotions in training, whatever the clip."""
    shares = np.bincount(labels, minlength=len(EMOTIONS)) / len(labels)
    return lambda x: np.log(np.tile(shares + 1e-9, (len(x), 1)))


def regression(strength: float) -> Fit:
    """Standardised logistic regression with this C (inverse of the L2 penalty)."""

    def fit(features: np.ndarray, labels: np.ndarray) -> Fitted:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        model.fit(features, labels)
        return partial(_all_emotions, model)

    return fit


def discriminant(shrinkage: float) -> Fit:
    """Fisher's linear discriminant of standardised features.

    The covariance within classes is (1 - s) S + s tr(S) / D I (Friedman 1989, "Regularized
    discriminant analysis"); log-probabilities are those of Gaussians that share it, priors equal.
    It is solved among clips instead of features, of which there are more (Woodbury).
    """

    def fit(features: np.ndarray, labels: np.ndarray) -> Fitted:
        scaler = StandardScaler().fit(features)
        x, classes = scaler.transform(features), np.arange(len(EMOTIONS))
        present = np.isin(classes, labels)
        means = np.stack([x[labels == k].mean(0) if present[k] else x.mean(0) for k in classes])
        within = (x - means[labels]) / np.sqrt(len(x))
        ridge = shrinkage * (within**2).sum() / x.shape[1] + 1e-9
        directions = _solve(np.sqrt(1 - shrinkage) * within, ridge, means)  # (K, D)
        offset = np.where(present, -0.5 * (means * directions).sum(1), -1e9)
        return lambda new: log_softmax(scaler.transform(new) @ directions.T + offset, axis=1)

    return fit


def _solve(rows: np.ndarray, ridge: float, means: np.ndarray) -> np.ndarray:
    """(K, D): (R' R + ridge I)^-1 applied to each mean, for rows R (N, D)."""
    if len(rows) >= rows.shape[1]:
        square = rows.T @ rows + ridge * np.eye(rows.shape[1])
        return np.asarray(np.linalg.solve(square, means.T).T)
    gram = rows @ rows.T + ridge * np.eye(len(rows))
    return np.asarray((means - np.linalg.solve(gram, rows @ means.T).T @ rows) / ridge)


def _all_emotions(model: LogisticRegression, features: np.ndarray) -> np.ndarray:
    """Log-probabilities (N, K); next to nothing for emotions that training lacked."""
    out = np.full((len(features), len(EMOTIONS)), -20.0)
    out[:, model.classes_] = model.predict_log_proba(features)
    return out
