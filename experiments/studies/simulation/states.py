"""Affective states of whole videos: what is the case at each frame, labelled or not.

valence-arousal of every frame > expression given these > units given both > State.

The conditional model. An expression is held until a Poisson clock strikes (every `EXPR_HOLD`
seconds on average), then drawn anew from

    p(k | v, a)  ~  exp(c_k - |(v, a) - PROTOTYPES_k|^2 / (2 WIDTH^2)).

A unit is held likewise (`AU_HOLD`), then on with probability

    p(on | a, k) = sigmoid(t_u + PUSH [u belongs to k] + PULL a [u is AU25 or AU26]).

So both are Markov chains given what they depend on. c and t are set so that the mean probability
over the training frames is the real frequency of each class, and that assumed of each unit. Labels
that the annotations hold already are never replaced: the state follows them, and is drawn only
where they are silent.

Letters: F frames, N frames of all clips, U units.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, softmax

from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import default_tasks

EXPR_COUNTS = np.array([177198, 16573, 10771, 9080, 95463, 78751, 31615, 165866])
"""Training frames of each expression in the sixth challenge."""
AU_SHARES = np.array(
    [0.115, 0.053, 0.147, 0.236, 0.367, 0.325, 0.229, 0.024, 0.030, 0.023, 0.607, 0.079]
)
"""How often each unit is on: from general knowledge of the challenges, not checked in a source."""
PROTOTYPES = np.array(
    [
        (0.05, 0.15),
        (-0.55, 0.6),
        (-0.5, 0.35),
        (-0.4, 0.65),
        (0.55, 0.45),
        (-0.5, 0.15),
        (0.15, 0.7),
        (0.0, 0.35),
    ]
)
"""Valence and arousal at which each expression is likeliest, after Russell's circumplex (1980)."""
WIDTH, EXPR_HOLD = 0.3, 2.0
MEMBERS = {
    "Anger": ("AU4", "AU7", "AU23", "AU24"),
    "Disgust": ("AU4", "AU7", "AU10"),
    "Fear": ("AU1", "AU2", "AU4", "AU7", "AU25", "AU26"),
    "Happiness": ("AU6", "AU12", "AU25"),
    "Sadness": ("AU1", "AU4", "AU15"),
    "Surprise": ("AU1", "AU2", "AU25", "AU26"),
}
"""Units of the prototypical expressions (Ekman and Friesen's EMFACS)."""
PUSH, PULL, AU_HOLD = 2.0, 2.0, 1.5
PUSHES = np.array([[unit in MEMBERS.get(name, ()) for unit in UNITS] for name in EXPRESSIONS])
PULLS = np.isin(UNITS, ("AU25", "AU26"))


@dataclass(frozen=True)
class State:
    """What really is the case at each frame, labelled or not.

    Attributes:
        va: (F, 2) float64.
        expr: (F,) int64.
        au: (F, 12) bool.
    """

    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray


@dataclass(frozen=True)
class ClassModel:
    """Offsets of the conditional model: c (8,) of the expressions, t (12,) of the units."""

    expr: np.ndarray
    au: np.ndarray

    def expressions(self, va: np.ndarray) -> np.ndarray:
        """(F, 8) probabilities of what is drawn where the clock strikes, of (F, 2)."""
        return np.asarray(softmax(self.expr + _affinity(va), axis=1))

    def units(self, va: np.ndarray, expr: np.ndarray) -> np.ndarray:
        """(F, 12) probabilities of on, of (F, 2) and the (F, 8) probabilities of expressions."""
        each = [expit(self.au + drive) for drive in _drives(va)]
        return np.asarray(np.einsum("fk,kfu->fu", expr, np.stack(each)))


@dataclass(frozen=True)
class Simulated:
    """Clips with their labels, their states, and frames a second, both by id."""

    clips: list[Clip]
    states: dict[str, State]
    rates: dict[str, float]
    model: ClassModel


def fit_model(va: np.ndarray) -> ClassModel:
    """Offsets with which the mean probabilities over (N, 2) training frames are the real ones."""
    va = va[:: max(len(va) // 20_000, 1)]
    wanted, model = EXPR_COUNTS / EXPR_COUNTS.sum(), ClassModel(np.zeros(8), np.zeros(len(UNITS)))
    for _ in range(200):
        mean = model.expressions(va).mean(axis=0)
        model = replace(model, expr=model.expr + np.log(wanted / np.maximum(mean, 1e-12)))
    expr = model.expressions(va)
    for _ in range(100):
        mean = model.units(va, expr).mean(axis=0)
        step = np.log(AU_SHARES / (1 - AU_SHARES)) - np.log(mean / (1 - mean))
        model = replace(model, au=model.au + step)
    return model


def labels_of(labels: FrameLabels, task: str) -> TaskLabels:
    """Labels of a task, which may have none."""
    return default_tasks()[task.lower()].labels_in(labels)


def draw_state(
    va: np.ndarray, known: FrameLabels, rate: float, model: ClassModel, rng: np.random.Generator
) -> State:
    """State of one clip: as its labels say, drawn where they are silent."""
    place = model.expressions(va).cumsum(axis=1)
    drawn = (rng.random(len(va))[:, None] > place[:, :-1]).sum(axis=1)
    drawn = drawn[_held(len(va), EXPR_HOLD * rate, rng)]
    classes, units = labels_of(known, "expr"), labels_of(known, "au")
    expr = np.where(classes.mask, classes.values, drawn)
    chance = model.units(va, np.eye(len(EXPRESSIONS))[expr])
    on = rng.random(chance.shape) < chance
    held = np.stack([on[_held(len(va), AU_HOLD * rate, rng), u] for u in range(len(UNITS))], 1)
    return State(va, expr, np.where(units.mask, units.values > 0.5, held))


def _affinity(va: np.ndarray) -> np.ndarray:
    """(F, 8) log-likelihoods of the prototypes, but for c."""
    apart = va[:, None, :] - PROTOTYPES
    return np.asarray(-(apart**2).sum(axis=2) / (2 * WIDTH**2))


def _drives(va: np.ndarray) -> Iterator[np.ndarray]:
    """For each expression (F, 12): logits of the units, but for t."""
    for pushes in PUSHES:
        yield PUSH * pushes + PULL * va[:, 1:] * PULLS


def _held(frames: int, hold: float, rng: np.random.Generator) -> np.ndarray:
    """(F,) index of the frame at which the clock last struck; it strikes at the first."""
    return since(rng.random(frames) < 1 / max(hold, 1.0))


def since(strikes: np.ndarray) -> np.ndarray:
    """(F,) index of the last True so far, 0 before the first."""
    return np.maximum.accumulate(np.where(strikes, np.arange(len(strikes)), 0))
