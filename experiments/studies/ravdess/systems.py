"""All systems that are compared, each trained on the clips of a split and asked for its others.

Data flow: rows of a split > members (a linear model, or a clip model of a seed) > log-probabilities
(n, K), kept on disk > systems: weighted sums of members.

Nothing is chosen by a split's test clips; strengths and weights are constants of this file.

Letters: n test clips, K emotions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from experiments.studies.ravdess.linear import Fit, constant, discriminant, regression
from experiments.studies.ravdess.model import ClipSettings, Trained
from experiments.studies.ravdess.streams import MOMENTS, UNITS, Rows
from experiments.studies.ravdess.training import train_clips

AUDIO_LAYERS = 3
"""Layers of the anchor, the last ones."""
SURE = 0.2
"""Weight of the sound's discriminant beside the face's: of thousands of features, it is too sure.
"""
FUSIONS = ("concat", "gated", "cross-attention", "leader-follower")
PARTS_SEEN = 4
"""Parts of a clip around the present one that cross-attention looks at."""
DISTILLED, PROGRESSIVE = "distilled", "progressive"
STAGES = ("audio", "visual")
"""Members that are the progressive recipe's first stage."""
PLAIN = ClipSettings(streams=())


@dataclass(frozen=True)
class System:
    """A row of the table: a sum of members.

    Attributes:
        name: What it is.
        sees: `audio`, `visual` or `both`.
        terms: Weight and name of each member.
        ensemble: Whether members are the mean over seeds.
    """

    name: str
    sees: str
    terms: tuple[tuple[float, str], ...]
    ensemble: bool = False

    @property
    def members(self) -> list[str]:
        """Names of its members."""
        return [name for _, name in self.terms]


def _late(audio: str, visual: str, sure: float = 1.0) -> tuple[tuple[float, str], ...]:
    return (sure, audio), (1.0, visual)


ANCHOR = System("late fusion of two logistic regressions", "both", _late("lr-audio", "lr-units"))
DISCRIMINANTS = _late("ld-audio", "ld-units", SURE)
BASE = [
    System("logistic regression, last 3 layers", "audio", ((1.0, "lr-audio"),)),
    System("logistic regression, AU-35", "visual", ((1.0, "lr-units"),)),
    ANCHOR,
    System("discriminant, all layers", "audio", ((1.0, "ld-audio"),)),
    System("discriminant, AU-35 and their roots", "visual", ((1.0, "ld-units"),)),
    System("late fusion of the two discriminants", "both", DISCRIMINANTS),
]
PRODUCT = System("AffectModel (concat) x discriminants", "both", ((1.0, "concat"), *DISCRIMINANTS))
OURS = [
    System("AffectModel, baseline (concat)", "both", ((1.0, "concat"),)),
    PRODUCT,
    replace(PRODUCT, name="AffectModel (concat, all seeds) x discriminants", ensemble=True),
]
SINGLE = [System("AffectModel", one, ((1.0, one),)) for one in STAGES] + [
    System("AffectModel x discriminant", "audio", ((1.0, "audio"), (SURE, "ld-audio"))),
    System("AffectModel x discriminant", "visual", ((1.0, "visual"), (1.0, "ld-units"))),
]
RECIPES = [System(f"AffectModel, {one}", "both", ((1.0, one),)) for one in FUSIONS[1:]] + [
    System("distilled: the seeds' models to a student", "both", ((1.0, DISTILLED),)),
    System("progressive: each stream, then joint", "both", ((1.0, PROGRESSIVE),)),
]
CONSTANT = System("constant: shares of training", "none", ((1.0, "constant"),))
FINAL = System("late fusion, final layer only", "both", _late("lr-final", "lr-units"))
EVERY = System(
    "AffectModel (all fusions and seeds) x discriminants",
    "both",
    (*((0.25, one) for one in FUSIONS), *DISCRIMINANTS),
    ensemble=True,
)
ALL = {
    "none": [CONSTANT, *BASE, FINAL, *SINGLE, *OURS, *RECIPES, EVERY],
    "person": [*BASE, *SINGLE, *OURS],
    "causal": [*BASE, *OURS],
}
"""Adaptation to the table's rows."""


@dataclass
class Trainer:
    """Trains the members of one split, each when it is asked for.

    Attributes:
        train: Training clips.
        test: Clips to be told.
        seeds: All seeds, which an ensemble takes together.
        settings: Of the clip models, but for their streams.
    """

    train: Rows
    test: Rows
    seeds: Sequence[int]
    settings: ClipSettings = PLAIN
    _trained: dict[tuple[str, int], Trained] = field(default_factory=dict)

    def scores(self, member: str, seed: int) -> np.ndarray:
        """Log-probabilities (n, K) of a member."""
        if member in self._linear:
            fit, look = self._linear[member]
            return fit(look(self.train), self.train.labels)(look(self.test))
        if member == DISTILLED:
            return self._distil(seed).logits(self.test)
        if member == PROGRESSIVE:
            return self._progress(seed)
        return self._clip_model(member, seed).logits(self.test)

    @cached_property
    def _linear(self) -> dict[str, tuple[Fit, Callable[[Rows], np.ndarray]]]:
        """Linear members: how they are fitted, and to what."""
        layer, units = self.train.layer, self.train.moments[UNITS].shape[1] // 2
        return {
            "constant": (constant, _units),
            "lr-audio": (regression(0.003), lambda rows: _sound(rows)[:, -AUDIO_LAYERS * layer :]),
            "lr-final": (regression(0.003), lambda rows: _sound(rows)[:, -layer:]),
            "lr-units": (regression(0.1), lambda rows: _units(rows)[:, units:]),
            "ld-audio": (discriminant(0.6), _sound),
            "ld-units": (discriminant(0.1), _units),
        }

    def _clip_model(self, member: str, seed: int) -> Trained:
        """A clip model of some streams, or of all of them with some fusion; trained once."""
        if (member, seed) not in self._trained:
            sound = tuple(name for name in self.train.parts if name != UNITS)
            streams = {"audio": sound, "visual": (UNITS,)}.get(member, (*sound, UNITS))
            kind = member if member in FUSIONS else "concat"
            reach = {"reach": PARTS_SEEN} if kind == "cross-attention" else {}
            model = replace(self.settings.model, fusion={"name": kind, **reach})
            settings = replace(self.settings, streams=streams, model=model)
            self._trained[member, seed] = train_clips(self.train, settings, seed)
        return self._trained[member, seed]

    def _distil(self, seed: int) -> Trained:
        """A student of the mean of all seeds' models, which is taught beside the labels."""
        teachers = [self._clip_model("concat", one) for one in self.seeds]
        told = np.mean([teacher.logits(self.train) for teacher in teachers], axis=0)
        settings = replace(self.settings, streams=tuple(self.train.parts))
        return train_clips(self.train, settings, seed, teacher=told)

    def _progress(self, seed: int) -> np.ndarray:
        """A joint model that sees, beside the streams, what a model of each kind makes of them."""
        stages = {name: self._clip_model(name, seed) for name in STAGES}
        fed = [
            replace(
                rows,
                parts=rows.parts | {name: one.features(rows) for name, one in stages.items()},
            )
            for rows in (self.train, self.test)
        ]
        settings = replace(self.settings, streams=tuple(fed[0].parts))
        return train_clips(fed[0], settings, seed).logits(fed[1])


def _sound(rows: Rows) -> np.ndarray:
    return rows.moments[MOMENTS]


def _units(rows: Rows) -> np.ndarray:
    return rows.moments[UNITS]
