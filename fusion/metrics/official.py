"""Official ABAW metrics of every edition.

labels and decided values, clip by clip > MetricAccumulator > scores pooled over all valid frames.

Everything is float64 and counts; memory does not grow with the data, and the result does not
depend on how the frames are cut into pieces.

| | edition 2 | edition 3 and later |
|---|---|---|
| VA | mean CCC of valence and arousal | the same |
| EXPR | 0.67 macro-F1 + 0.33 accuracy, 7 classes | macro-F1, 8 classes |
| AU | 0.5 mean binary F1 + 0.5 accuracy, 12 units | mean binary F1, 12 units |
| MTL | | P = VA + EXPR + AU |
| CE | | macro-F1, 7 classes (editions 6 to 8) |

On a data set that is not ABAW's, EXPR is over the classes that it has, and AU on any data over the
units that have a label: what cannot be right or wrong is no 0. `counted` says which these are.

Letters: F frames, N pooled valid frames, C classes, U action units, `...` leading dimensions.
"""

import math
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from features.cli.wording import counted
from fusion.abaw.challenges import COMPOUNDS, EDITIONS, LATEST
from fusion.metrics.sufficient_statistics import (
    PairMoments,
    confusion_of,
    exact_matches_of,
    f1_of,
    one_against_rest,
    share,
    unit_counts_of,
)
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS, FrameLabels

EXPRESSIONS_OF_EDITION_2 = 7
"""The first so many of `EXPRESSIONS`."""


class UndefinedScore(UserWarning):
    """A class that is neither in the truth nor predicted; its F1 counts as 0."""


def ccc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance correlation coefficient (Lin, 1989) with population moments (ddof 0).

    `2 cov / (var_x + var_y + (mean_x - mean_y)^2)`; 0 if either side is constant.

    Args:
        truth: (N,) values.
        prediction: (N,) values.

    Raises:
        ValueError: If the arrays are empty, not finite, or of unequal shape.
    """
    moments = PairMoments.of(truth, prediction)
    if moments.count == 0:
        raise ValueError("no frame to score")
    return moments.ccc()


def macro_f1(truth: np.ndarray, prediction: np.ndarray, classes: int) -> float:
    """Mean over the classes of F1; a class in neither counts as 0, with a warning.

    Args:
        truth: (N,) integers below `classes`.
        prediction: (N,) integers below `classes`.
        classes: C.
    """
    counts = one_against_rest(confusion_of(truth, prediction, classes))
    _warn_of_absent(counts, [f"class {i}" for i in range(classes)])
    return float(f1_of(counts).mean())


def ce_f1(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Score of compound expressions: macro-F1 over 7 classes, of (N,) integers 0 to 6."""
    return macro_f1(truth, prediction, len(COMPOUNDS))


def mean_binary_f1(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Mean over the units of the F1 of "on"; a unit that is never on counts as 0, with a warning.

    Units without a single valid element are left out of the mean.

    Args:
        truth: (N, U) 0 or 1.
        prediction: (N, U) 0 or 1, integer or bool: decided, not logits.
        mask: (N, U) bool, elements that count; all of them if None.
    """
    valid = np.ones(truth.shape, bool) if mask is None else mask
    counts = unit_counts_of(truth, prediction, valid)
    seen = np.flatnonzero(counts[:, 3])
    _warn_of_absent(counts[seen, :3], [f"unit {i}" for i in seen])
    return float(f1_of(counts[seen, :3]).mean()) if len(seen) else math.nan


def official_scores(
    labels: FrameLabels,
    va: np.ndarray,
    expr: np.ndarray,
    au: np.ndarray,
    edition: int = LATEST,
    exact: bool = False,
    expressions: Iterable[str] = (),
) -> dict[str, float]:
    """Scores of pooled arrays; the same as `MetricAccumulator.scores` after one `add`."""
    accumulator = MetricAccumulator(expressions=frozenset(expressions))
    accumulator.add(labels, va, expr, au)
    return accumulator.scores(edition, exact)


def counted_classes(edition: int = LATEST, expressions: Collection[str] = ()) -> np.ndarray:
    """(C,) int64, rising: indices of the expressions that EXPR is the mean over.

    Args:
        edition: Number of the challenge; edition 2 knows the first seven.
        expressions: Those that the data set has; none: all of the edition.
    """
    known = EXPRESSIONS[:EXPRESSIONS_OF_EDITION_2] if edition == 2 else EXPRESSIONS
    kept = [i for i, name in enumerate(known) if not expressions or name in expressions]
    return np.array(kept, np.int64)


def expression_counts(confusion: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(..., C, 3): both, only predicted, only true of (C,) classes, from (..., 8, 8) counts.

    Frames of another class do not count; to predict another one is a miss of the true class.
    """
    rows = confusion[..., classes, :]
    both = np.diagonal(rows[..., classes], axis1=-2, axis2=-1)
    predicted, true = rows.sum(-2)[..., classes], rows.sum(-1)
    return np.stack([both, predicted - both, true - both], axis=-1)


def expression_score(
    confusion: np.ndarray, edition: int = LATEST, expressions: Collection[str] = ()
) -> np.ndarray:
    """(...) EXPR score from (..., 8, 8) counts, truth by prediction; NaN without any frame."""
    classes = counted_classes(edition, expressions)
    counts = expression_counts(confusion, classes)
    frames = confusion[..., classes, :].sum((-2, -1))
    score = f1_of(counts).mean(-1)
    if edition == 2:
        score = 0.67 * score + 0.33 * share(counts[..., 0].sum(-1), frames)
    return np.where(frames > 0, score, np.nan)


def unit_score(
    units: np.ndarray, exact: np.ndarray, edition: int = LATEST, whole: bool = False
) -> np.ndarray:
    """(...) AU score over the units that have a valid element; NaN where none has.

    Args:
        units: (..., U, 4) counts: both on, only predicted, only true, valid elements.
        exact: (..., 2) counts: frames all right, frames with a valid element.
        edition: Number of the challenge.
        whole: In edition 2, take the share of frames that are all right for accuracy, instead of
            the share of right elements.
    """
    elements, seen = units[..., 3].sum(-1), units[..., 3] > 0
    score = share((f1_of(units[..., :3]) * seen).sum(-1), seen.sum(-1))
    if edition == 2:
        right = elements - units[..., 1:3].sum((-2, -1))
        accuracy = share(exact[..., 0], exact[..., 1]) if whole else share(right, elements)
        score = 0.5 * score + 0.5 * accuracy
    return np.where(elements > 0, score, np.nan)


@dataclass
class MetricAccumulator:
    """Collects labels and decided values of any number of clips, then gives the official scores.

    Attributes:
        va: Moments of valence and of arousal.
        confusion: (C, C) int64, expressions: truth by prediction.
        units: (U, 4) int64: both on, only predicted, only true, valid elements.
        exact: (2,) int64: frames whose valid units are all right, frames with a valid unit.
        expressions: Names of the expressions that the data has; empty: all of the edition.
    """

    va: tuple[PairMoments, ...] = field(default_factory=lambda: _no_moments())
    confusion: np.ndarray = field(
        default_factory=lambda: np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)), np.int64)
    )
    units: np.ndarray = field(default_factory=lambda: np.zeros((len(UNITS), 4), np.int64))
    exact: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    expressions: frozenset[str] = frozenset()

    def add(self, labels: FrameLabels, va: np.ndarray, expr: np.ndarray, au: np.ndarray) -> None:
        """Adds frames; those without a label do not count.

        Args:
            labels: F frames; use `labels.resized(F)` where predictions are fewer or more.
            va: (F, 2) predicted valence and arousal.
            expr: (F,) integers, predicted class.
            au: (F, 12) integers or bool, 1 where a unit is predicted on: decided, not logits.

        Raises:
            ValueError: If a shape or type is another, or a value that counts is not finite.
        """
        frames = len(labels)
        if va.shape != (frames, 2) or expr.shape != (frames,) or au.shape != (frames, len(UNITS)):
            raise ValueError(
                f"predictions {va.shape}, {expr.shape}, {au.shape} are not of {frames} frames"
            )
        seen = labels.va_mask
        new = [PairMoments.of(labels.va[seen, i], va[seen, i]) for i in range(len(DIMENSIONS))]
        self.va = tuple(old.merged(piece) for old, piece in zip(self.va, new, strict=True))
        seen = labels.expr_mask
        self.confusion += confusion_of(labels.expr[seen], expr[seen], len(EXPRESSIONS))
        self.units += unit_counts_of(labels.au, au, labels.au_mask)
        self.exact += exact_matches_of(labels.au, au, labels.au_mask)

    def merge(self, other: "MetricAccumulator") -> None:
        """Adds what another accumulator (of another process, say) has collected."""
        self.va = tuple(a.merged(b) for a, b in zip(self.va, other.va, strict=True))
        self.confusion += other.confusion
        self.units += other.units
        self.exact += other.exact
        self.expressions |= other.expressions

    def scores(self, edition: int = LATEST, exact: bool = False) -> dict[str, float]:
        """Official scores; NaN for a task that had no label at all.

        Args:
            edition: Number of the challenge, 2 to 11.
            exact: In edition 2, AU accuracy by whole frames instead of by elements.

        Returns:
            `CCC_V`, `CCC_A`; `VA`, their mean; `EXPR` and `AU` as the module's table says; `P`, the
            sum of VA, EXPR and AU (the MTL score). Tasks without a label are left out of P, so
            compare P only where the same tasks are labelled.
        """
        if edition not in EDITIONS:
            raise ValueError(f"editions are {EDITIONS[0]} to {EDITIONS[-1]}, not {edition}")
        self._warn(edition)
        valence, arousal = (moments.ccc() for moments in self.va)
        tasks = {
            "VA": (valence + arousal) / 2,
            "EXPR": float(expression_score(self.confusion, edition, self.expressions)),
            "AU": float(unit_score(self.units, self.exact, edition, exact)),
        }
        scored = [score for score in tasks.values() if not math.isnan(score)]
        total = sum(scored) if scored else math.nan
        return {"CCC_V": valence, "CCC_A": arousal, **tasks, "P": total}

    def class_scores(self, edition: int = LATEST) -> dict[str, float]:
        """F1 of each expression that counts and of each unit by its name.

        NaN for the expressions if no frame is labelled, and for a unit without a label.
        """
        classes = counted_classes(edition, self.expressions)
        scores = f1_of(expression_counts(self.confusion, classes))
        known = bool(self.confusion[classes].any())
        named = {EXPRESSIONS[i]: f1 for i, f1 in zip(classes, scores.tolist(), strict=True)}
        units = np.where(self.units[:, 3] > 0, f1_of(self.units[:, :3]), np.nan).tolist()
        return {name: f1 if known else math.nan for name, f1 in named.items()} | dict(
            zip(UNITS, units, strict=True)
        )

    def counted(self, edition: int = LATEST) -> list[str]:
        """What EXPR and AU are means over, a line each, where it is not all that there is."""
        classes = counted_classes(edition, self.expressions)
        every = EXPRESSIONS_OF_EDITION_2 if edition == 2 else len(EXPRESSIONS)
        lines = []
        if self.confusion[classes].any() and len(classes) < every:
            names = ", ".join(EXPRESSIONS[i] for i in classes)
            number = counted(len(classes), "class", "classes")
            lines.append(f"EXPR is over the {number} of this data set: {names}")
        seen = np.flatnonzero(self.units[:, 3])
        if 0 < len(seen) < len(UNITS):
            names = ", ".join(UNITS[i] for i in seen)
            lines.append(f"AU is over the {counted(len(seen), 'unit')} with labels: {names}")
        return lines

    def _warn(self, edition: int) -> None:
        classes = counted_classes(edition, self.expressions)
        if self.confusion[classes].any():
            names = [EXPRESSIONS[i] for i in classes]
            _warn_of_absent(expression_counts(self.confusion, classes), names)
        seen = np.flatnonzero(self.units[:, 3])
        _warn_of_absent(self.units[seen, :3], [UNITS[i] for i in seen])


def _no_moments() -> tuple[PairMoments, ...]:
    return tuple(PairMoments.of(np.zeros(0), np.zeros(0)) for _ in DIMENSIONS)


def _warn_of_absent(counts: np.ndarray, names: Sequence[str]) -> None:
    """Warns of classes that scikit-learn, too, gives F1 0; counts are (K, 3)."""
    absent = [name for name, row in zip(names, counts, strict=True) if not row.any()]
    if absent:
        warnings.warn(
            f"neither labelled nor predicted, so F1 is 0: {', '.join(absent)}",
            UndefinedScore,
            stacklevel=3,
        )
