"""What is compared on RAVDESS: members, and systems that sum their log-probabilities.

Strengths and weights are constants of this file: nothing is chosen by a split's test clips.

Letters: N clips, n test clips, K emotions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from experiments.studies.ravdess.clips import Moments
from experiments.studies.ravdess.linear import Fit, constant, discriminant, regression

MODEL = "model"
"""Member that the run's models are."""
ANCHOR_LAYERS = 3
"""Layers of the anchor, the last ones."""
SURE = 0.2
"""Weight of the sound's discriminant beside the face's: of thousands of features, it is too sure.
"""
Said = Mapping[str, Mapping[str, np.ndarray]]
"""Member and split to log-probabilities (n, K)."""


@dataclass(frozen=True)
class Split:
    """A fold.

    Attributes:
        name: Such as `fold0`.
        test: (N,) bool, clips that it holds out; the others are learnt from.
        labels: (n,) emotions of the held-out clips.
        people: (n,) their actors.
    """

    name: str
    test: np.ndarray
    labels: np.ndarray
    people: np.ndarray


@dataclass(frozen=True)
class Member:
    """A linear model.

    Attributes:
        fit: How it is fitted.
        look: Clips and number of layers to what it sees of them (N, D).
    """

    fit: Fit
    look: Callable[[Moments, int], np.ndarray]


def _last(count: int) -> Callable[[Moments, int], np.ndarray]:
    return lambda clips, layers: clips.sound[:, -count * (clips.sound.shape[1] // layers) :]


def _plain_units(clips: Moments, _layers: int) -> np.ndarray:
    return clips.units[:, clips.units.shape[1] // 2 :]


MEMBERS = {
    "constant": Member(constant, lambda clips, _: clips.units),
    "lr-audio": Member(regression(0.003), _last(ANCHOR_LAYERS)),
    "lr-final": Member(regression(0.003), _last(1)),
    "lr-units": Member(regression(0.1), _plain_units),
    "ld-audio": Member(discriminant(0.6), lambda clips, _: clips.sound),
    "ld-units": Member(discriminant(0.1), lambda clips, _: clips.units),
}


@dataclass(frozen=True)
class System:
    """A row of the table: a weighted sum of members.

    Attributes:
        name: What it is.
        sees: `audio`, `visual` or `both`.
        terms: Member to its weight.
        before: Accuracy that the study had with a clip model and a training loop of its own, in
            folds of other actors, without and with the person's own frames; "" without one.
    """

    name: str
    sees: str
    terms: Mapping[str, float]
    before: tuple[str, str] = ("", "")


_LINEAR = {"ld-audio": SURE, "ld-units": 1.0}
_RUN = "`fusion.train --cfg ravdess`"
ANCHOR = System(
    "late fusion of two logistic regressions",
    "both",
    {"lr-audio": 1.0, "lr-units": 1.0},
    (".847 ± .030", ".928 ± .012"),
)
SYSTEMS = (
    System("constant: shares of training", "none", {"constant": 1.0}, (".133", "")),
    System("logistic regression, last 3 layers", "audio", {"lr-audio": 1.0},
           (".736 ± .041", ".840 ± .031")),
    System("logistic regression, AU-35", "visual", {"lr-units": 1.0},
           (".577 ± .020", ".777 ± .020")),
    ANCHOR,
    System("late fusion, final layer only", "both", {"lr-final": 1.0, "lr-units": 1.0},
           (".808 ± .026", "")),
    System("discriminant, all layers", "audio", {"ld-audio": 1.0}, (".770 ± .042", ".855 ± .026")),
    System("discriminant, AU-35 and their roots", "visual", {"ld-units": 1.0},
           (".624 ± .025", ".776 ± .017")),
    System("late fusion of the two discriminants", "both", _LINEAR, (".866 ± .026", ".937 ± .010")),
    System(_RUN, "both", {MODEL: 1.0}, (".850 ± .028", ".927 ± .016")),
    System(f"{_RUN} x discriminants", "both", {MODEL: 1.0, **_LINEAR},
           (".874 ± .027", ".942 ± .010")),
)  # fmt: skip
