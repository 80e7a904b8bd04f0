"""What `face` is judged on, its scores, and a line of the table that comes of them.

Standard errors take pictures of one person as dependent.

Letters: N examples or faces, D columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from experiments.pretraining.face.data import TEST, Faces
from experiments.pretraining.face.units import CodedFaces
from experiments.pretraining.probe_data import FaceSet
from features.encoders.visual.expression import ExpressionEncoder
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import FaceEncoder
from features.encoders.visual.face.model import load_face_model
from features.encoders.visual.face.net import FaceNet

DRAWS = 100
"""Samples of people for the standard error of scores that are no means."""


@dataclass(frozen=True)
class Score:
    """A score with its standard error.

    Attributes:
        value: The score.
        error: Standard error.
        digits: Decimals that are shown.
    """

    value: float
    error: float
    digits: int = 3

    def __str__(self) -> str:
        return f"{self.value:.{self.digits}f} ± {self.error:.{self.digits}f}"


def mean_score(values: np.ndarray, people: np.ndarray, digits: int = 3) -> Score:
    """Mean of (N,) values; the error is clustered by person (Liang and Zeger 1986).

    sqrt(sum over people of (sum of residuals)^2) / N.
    """
    mean = float(values.mean())
    _, person = np.unique(people, return_inverse=True)
    sums = np.bincount(person, weights=values - mean)
    return Score(mean, float(np.sqrt((sums**2).sum()) / len(values)), digits)


def drawn_score(score: Callable[[np.ndarray], float], people: np.ndarray) -> Score:
    """A score of examples by their indices; its error over people drawn with replacement.

    Args:
        score: Takes indices into the examples; NaN where a draw cannot be scored.
        people: (N,).
    """
    rng = np.random.default_rng(0)
    _, person = np.unique(people, return_inverse=True)
    order = np.argsort(person, kind="stable")
    own = np.split(order, np.cumsum(np.bincount(person))[:-1])
    draws = [
        score(np.concatenate([own[p] for p in rng.integers(0, len(own), len(own))]))
        for _ in range(DRAWS)
    ]
    return Score(float(score(np.arange(len(people)))), float(np.nanstd(draws)))


def correlation(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pearson's r of each column of (N, D) and (N, D): (D,)."""
    guess, truth = guess - guess.mean(0), truth - truth.mean(0)
    norms = np.sqrt((guess**2).sum(0) * (truth**2).sum(0))
    return np.asarray((guess * truth).sum(0) / np.maximum(norms, 1e-12))


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        what: The measure.
        on: The faces.
        face: The score of `face`.
        target: What was aimed at; None: no target.
        expression: The score of `expression`, or words.
        others: Other anchors, in words.
        most: Whether the target is a most, as of errors.
    """

    what: str
    on: str
    face: Score
    target: float | None = None
    expression: Score | str = ""
    others: str = ""
    most: bool = False

    @property
    def cells(self) -> list[str]:
        """Of the table's line."""
        aim = "" if self.target is None else f"{self.target:g}"
        return [
            self.what,
            self.on,
            aim,
            str(self.face),
            self.met,
            str(self.expression),
            self.others,
        ]

    @property
    def met(self) -> str:
        """`yes`, or by how much the target is missed."""
        if self.target is None:
            return ""
        missing = (self.face.value - self.target) * (1 if self.most else -1)
        return "yes" if missing <= 0 else f"no, by {missing:.{self.face.digits}f}"


@dataclass(frozen=True)
class Tested:
    """The encoder and the faces that it is judged on.

    Attributes:
        face: The encoder.
        faces: Those of the training and of its test parts.
        ck: CK+48.
        coded: CK+ with FACS codes.
        actor: Frames of RAVDESS's actor 01.
        words: Of LFW's test part: its words for expressions, ABAW's classes.
    """

    face: FaceEncoder
    faces: Faces
    ck: FaceSet
    coded: CodedFaces
    actor: FaceSet
    words: np.ndarray

    @cached_property
    def network(self) -> FaceNet:
        """The encoder's network."""
        return load_face_model(self.face.weights, "give others by --weights").net

    @cached_property
    def expression(self) -> ExpressionEncoder:
        """The anchor."""
        return ExpressionEncoder()

    def part(self, source: str, part: int = TEST) -> Faces:
        """Faces of one source and part."""
        return self.faces.take((self.faces.source == source) & (self.faces.part == part))


def grey(encoder: FaceEncoder | ExpressionEncoder, images: np.ndarray) -> dict[str, np.ndarray]:
    """Streams of framed faces (N, 48, 48), (N, D) by name."""
    faces = torch.from_numpy(np.ascontiguousarray(images)[:, None])
    parts = [encoder._encode(scale_grey(part)) for part in faces.split(64)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
