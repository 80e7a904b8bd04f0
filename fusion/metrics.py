"""Official ABAW metrics, editions 3 and later.

labels and decided values, clip by clip > MetricAccumulator > scores pooled over all valid frames.

Everything is float64 and counts; memory does not grow with the data, and the result does not
depend on how the frames are cut into pieces.

Letters: F frames, N pooled valid frames, C classes, U action units.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fusion.abaw.labels import DIMENSIONS, EXPRESSIONS, UNITS, FrameLabels


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
    counts = _one_against_rest(_confusion(truth, prediction, classes))
    return _mean_f1(counts, [f"class {i}" for i in range(classes)])


def mean_binary_f1(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Mean over the units of the F1 of "on"; a unit that is never on counts as 0, with a warning.

    Args:
        truth: (N, U) 0 or 1.
        prediction: (N, U) 0 or 1, integer or bool: decided, not logits.
        mask: (N, U) bool, elements that count; all of them if None.
    """
    valid = np.ones(truth.shape, bool) if mask is None else mask
    counts = _unit_counts(truth, prediction, valid)
    return _mean_f1(counts[:, :3], [f"unit {i}" for i in range(truth.shape[1])])


def official_scores(
    labels: FrameLabels, va: np.ndarray, expr: np.ndarray, au: np.ndarray
) -> dict[str, float]:
    """Scores of pooled arrays; the same as `MetricAccumulator.scores` after one `add`."""
    accumulator = MetricAccumulator()
    accumulator.add(labels, va, expr, au)
    return accumulator.scores()


@dataclass(frozen=True)
class PairMoments:
    """Moments of pairs (truth, prediction), from which CCC follows; pieces merge exactly.

    Attributes:
        count: N.
        mean: (2,) float64.
        square: (2,) float64, sums of squared deviations from the mean.
        product: Sum of the products of deviations.
        low, high: (2,) float64, extremes: they tell a constant from a rounding error.
    """

    count: int
    mean: np.ndarray
    square: np.ndarray
    product: float
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(truth: np.ndarray, prediction: np.ndarray) -> "PairMoments":
        """Moments of (N,) truth and (N,) prediction.

        Raises:
            ValueError: If a value is not finite, or the shapes differ.
        """
        if truth.ndim != 1 or truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} must be (N,)")
        pairs = np.stack([truth, prediction]).astype(np.float64)
        if not np.isfinite(pairs).all():
            raise ValueError("truth and prediction must be finite wherever there is a label")
        if not pairs.size:
            nothing = np.zeros(2)
            return PairMoments(0, nothing, nothing, 0.0, nothing + np.inf, nothing - np.inf)
        mean = pairs.mean(axis=1)
        deviation = pairs - mean[:, None]
        square = (deviation**2).sum(axis=1)
        product = float((deviation[0] * deviation[1]).sum())
        return PairMoments(
            pairs.shape[1], mean, square, product, pairs.min(axis=1), pairs.max(axis=1)
        )

    def merged(self, other: "PairMoments") -> "PairMoments":
        """Moments of both samples together (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        if count == 0:
            return self
        step = other.mean - self.mean
        weight = self.count * other.count / count
        return PairMoments(
            count=count,
            mean=self.mean + step * (other.count / count),
            square=self.square + other.square + weight * step**2,
            product=self.product + other.product + weight * float(step.prod()),
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
        )

    def ccc(self) -> float:
        """CCC of the sample; NaN if it is empty, 0 if either side is constant."""
        if self.count == 0:
            return math.nan
        if (self.low == self.high).any():
            return 0.0
        spread = float(self.square.sum()) + self.count * float(self.mean[0] - self.mean[1]) ** 2
        return 2 * self.product / spread if spread > 0 else 0.0


@dataclass
class MetricAccumulator:
    """Collects labels and decided values of any number of clips, then gives the official scores.

    Attributes:
        va: Moments of valence and of arousal.
        confusion: (C, C) int64, expressions: truth by prediction.
        units: (U, 4) int64: both on, only predicted, only true, valid elements.
    """

    va: tuple[PairMoments, ...] = field(default_factory=lambda: _no_moments())
    confusion: np.ndarray = field(
        default_factory=lambda: np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)), np.int64)
    )
    units: np.ndarray = field(default_factory=lambda: np.zeros((len(UNITS), 4), np.int64))

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
        self.confusion += _confusion(labels.expr[seen], expr[seen], len(EXPRESSIONS))
        self.units += _unit_counts(labels.au, au, labels.au_mask)

    def merge(self, other: "MetricAccumulator") -> None:
        """Adds what another accumulator (of another process, say) has collected."""
        self.va = tuple(a.merged(b) for a, b in zip(self.va, other.va, strict=True))
        self.confusion += other.confusion
        self.units += other.units

    def scores(self) -> dict[str, float]:
        """Official scores; NaN for a task that had no label at all.

        Returns:
            `CCC_V`, `CCC_A`; `VA`, their mean; `EXPR`, macro-F1 over 8 classes; `AU`, mean binary
            F1 over 12 units; `P`, the sum of VA, EXPR and AU (the MTL score). Tasks without a label
            are left out of P, so compare P only where the same tasks are labelled.
        """
        valence, arousal = (moments.ccc() for moments in self.va)
        classes, units = _one_against_rest(self.confusion), self.units[:, :3]
        labelled_expr, labelled_au = self.confusion.any(), self.units[:, 3].any()
        tasks = {
            "VA": (valence + arousal) / 2,
            "EXPR": _mean_f1(classes, EXPRESSIONS) if labelled_expr else math.nan,
            "AU": _mean_f1(units, UNITS) if labelled_au else math.nan,
        }
        scored = [score for score in tasks.values() if not math.isnan(score)]
        total = sum(scored) if scored else math.nan
        return {"CCC_V": valence, "CCC_A": arousal, **tasks, "P": total}

    def class_scores(self) -> dict[str, float]:
        """F1 of each expression and each action unit by its name."""
        expressions = _f1(_one_against_rest(self.confusion)).tolist()
        units = _f1(self.units[:, :3]).tolist()
        return dict(zip((*EXPRESSIONS, *UNITS), expressions + units, strict=True))


def _no_moments() -> tuple[PairMoments, ...]:
    return tuple(PairMoments.of(np.zeros(0), np.zeros(0)) for _ in DIMENSIONS)


def _confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 counts, truth by prediction, of (N,) integers."""
    if truth.ndim != 1 or truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} must be (N,)")
    for array in (truth, prediction):
        if array.dtype.kind not in "iu":
            raise ValueError("classes must be integers: decided, not logits")
        if ((array < 0) | (array >= classes)).any():
            raise ValueError(f"classes must be 0 to {classes - 1}")
    pairs = truth.astype(np.int64) * classes + prediction.astype(np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _unit_counts(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(U, 4) int64 of (N, U) arrays: both on, only predicted, only true, valid elements."""
    if not truth.shape == prediction.shape == mask.shape:
        raise ValueError(f"shapes differ: {truth.shape}, {prediction.shape}, mask {mask.shape}")
    if not np.isin(prediction, [0, 1]).all():
        raise ValueError("action units must be predicted 0 or 1: decided, not logits")
    true, on = truth.astype(bool) & mask, prediction.astype(bool) & mask
    return np.stack([a.sum(axis=0) for a in (true & on, on & ~true, true & ~on, mask)], axis=1)


def _one_against_rest(confusion: np.ndarray) -> np.ndarray:
    """(C, 3): for each class the counts both, only predicted, only true."""
    both = np.diag(confusion)
    return np.stack([both, confusion.sum(axis=0) - both, confusion.sum(axis=1) - both], axis=1)


def _f1(counts: np.ndarray) -> np.ndarray:
    """(K,) F1 from (K, 3) counts both, only predicted, only true; 0 where all three are 0."""
    both, predicted, true = counts.astype(np.float64).T
    total = 2 * both + predicted + true
    return np.divide(2 * both, total, out=np.zeros_like(total), where=total > 0)


def _mean_f1(counts: np.ndarray, names: Sequence[str]) -> float:
    """Mean F1 over (K, 3) counts; warns of classes that scikit-learn, too, gives 0."""
    absent = [name for name, row in zip(names, counts, strict=True) if not row.any()]
    if absent:
        warnings.warn(
            f"neither labelled nor predicted, so F1 is 0: {', '.join(absent)}",
            UndefinedScore,
            stacklevel=3,
        )
    return float(_f1(counts).mean())
