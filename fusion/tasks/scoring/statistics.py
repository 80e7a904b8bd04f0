"""Sufficient statistics of scores: what is kept of frames, so that pieces add up exactly.

labels and decided values > PairMoments, confusion, unit counts, exact matches > scores (metrics,
bootstrap). Sums of counts and `PairMoments.merged` give the statistics of all pieces together.

Letters: N frames, C classes, U elements of a binary vector, K classes or elements, V videos,
D draws; `...` any leading dimensions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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

    def correlation(self) -> float:
        """Pearson's r; NaN if the sample is empty or either side is constant."""
        spread = math.sqrt(self.square[0]) * math.sqrt(self.square[1])
        constant = self.count == 0 or (self.low == self.high).any() or spread == 0
        return math.nan if constant else self.product / spread

    def error(self) -> float:
        """Root of the mean squared error; NaN if the sample is empty."""
        if self.count == 0:
            return math.nan
        apart = float(self.square.sum() - 2 * self.product) / self.count
        return math.sqrt(max(apart + float(self.mean[0] - self.mean[1]) ** 2, 0.0))

    def deviation(self) -> np.ndarray:
        """(2,) standard deviations (ddof 0); NaN if the sample is empty."""
        return np.sqrt(self.square / self.count) if self.count else np.full(2, np.nan)


def confusion_of(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 counts, truth by prediction, of (N,) integers.

    Raises:
        ValueError: If shapes differ, or the values are no integers below C.
    """
    if truth.ndim != 1 or truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} must be (N,)")
    for array in (truth, prediction):
        if array.dtype.kind not in "iu":
            raise ValueError("classes must be integers: decided, not logits")
        if ((array < 0) | (array >= classes)).any():
            raise ValueError(f"classes must be 0 to {classes - 1}")
    pairs = truth.astype(np.int64) * classes + prediction.astype(np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def unit_counts_of(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(U, 4) int64 of (N, U) arrays: both on, only predicted, only true, valid elements.

    Raises:
        ValueError: If shapes differ, or the prediction is not 0 or 1.
    """
    if not truth.shape == prediction.shape == mask.shape:
        raise ValueError(f"shapes differ: {truth.shape}, {prediction.shape}, mask {mask.shape}")
    if not ((prediction == 0) | (prediction == 1)).all():
        raise ValueError("a binary vector must be predicted 0 or 1: decided, not logits")
    true, on = truth.astype(bool) & mask, prediction.astype(bool) & mask
    return np.stack([a.sum(axis=0) for a in (true & on, on & ~true, true & ~on, mask)], axis=1)


def exact_matches_of(truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(2,) int64: frames whose valid units are all right, frames with a valid unit."""
    labelled = mask.any(axis=1)
    wrong = ((truth.astype(bool) != prediction.astype(bool)) & mask).any(axis=1)
    return np.array([(labelled & ~wrong).sum(), labelled.sum()], np.int64)


def one_against_rest(confusion: np.ndarray) -> np.ndarray:
    """(..., C, 3) of (..., C, C) counts: for each class both, only predicted, only true."""
    both = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([both, confusion.sum(-2) - both, confusion.sum(-1) - both], axis=-1)


def f1_of(counts: np.ndarray) -> np.ndarray:
    """(..., K) F1 from (..., K, 3) both, only predicted, only true; 0 where all three are 0."""
    both, predicted, true = np.moveaxis(counts.astype(np.float64), -1, 0)
    return share(2 * both, 2 * both + predicted + true)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole` in float64, 0 where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def share_or_nan(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole` in float64, NaN where the whole is 0."""
    return np.where(whole > 0, share(part, whole), np.nan)


def detection(counts: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """Columns from (K, 3) both, only predicted, only true; F1 is NaN where not (K,) `known`."""
    both, predicted, true = counts.T
    return {
        "true": both + true,
        "predicted": both + predicted,
        "precision": share_or_nan(both, both + predicted),
        "recall": share_or_nan(both, both + true),
        "F1": np.where(known, f1_of(counts), np.nan),
    }


def mean_f1_of_present(counts: np.ndarray) -> float:
    """Mean F1 over the rows of (K, 3) counts that are not all 0; NaN if there is none."""
    present = counts.any(1)
    return float(f1_of(counts[present]).mean()) if present.any() else math.nan


@dataclass(frozen=True)
class DrawnMoments:
    """Moments of draws of videos, each video's sample taken as often as it is drawn.

    Attributes:
        frames: (D,) number of pairs.
        mean: (D, 2) float64, from `centre`.
        centre: (2,) float64.
        square: (D, 2) sums of squared deviations from the mean.
        product: (D,) sums of the products of deviations.
        constant: (D,) bool, whether truth or prediction has one value only.
    """

    frames: np.ndarray
    mean: np.ndarray
    centre: np.ndarray
    square: np.ndarray
    product: np.ndarray
    constant: np.ndarray

    @staticmethod
    def of(weights: np.ndarray, moments: Sequence[PairMoments]) -> "DrawnMoments":
        """Of (D, V) weights and the moments of V videos."""
        count = np.array([m.count for m in moments], np.float64)
        means = np.stack([m.mean for m in moments])
        # Sums around the mean of all keep their digits in float64; sums around zero would not.
        centre = share(count @ means, count.sum())
        shift = np.where(count[:, None] > 0, means - centre, 0.0)
        square = np.stack([m.square for m in moments]) + count[:, None] * shift**2
        product = np.array([m.product for m in moments]) + count * shift.prod(1)
        frames = weights @ count
        mean = share(weights @ (count[:, None] * shift), frames[:, None])
        return DrawnMoments(
            frames=frames,
            mean=mean,
            centre=centre,
            square=weights @ square - frames[:, None] * mean**2,
            product=weights @ product - frames * mean.prod(1),
            constant=_constant(weights, moments),
        )

    def ccc(self) -> np.ndarray:
        """(D,) as `PairMoments.ccc`: NaN without a frame, 0 where either side is constant."""
        gap = (self.mean + self.centre) @ np.array([1.0, -1.0])
        score = share(2 * self.product, self.square.sum(1) + self.frames * gap**2)
        score[self.constant] = 0.0
        return np.where(self.frames > 0, score, np.nan)

    def correlation(self) -> np.ndarray:
        """(D,) Pearson's r, 0 where either side is constant; NaN without a frame."""
        score = share(self.product, np.sqrt(self.square.clip(min=0)).prod(1))
        score[self.constant] = 0.0
        return np.where(self.frames > 0, score, np.nan)

    def error(self) -> np.ndarray:
        """(D,) root of the mean squared error; NaN without a frame."""
        gap = (self.mean + self.centre) @ np.array([1.0, -1.0])
        apart = share(self.square.sum(1) - 2 * self.product, self.frames)
        return np.where(self.frames > 0, np.sqrt((apart + gap**2).clip(min=0)), np.nan)


def _constant(weights: np.ndarray, moments: Sequence[PairMoments]) -> np.ndarray:
    """(D,) bool: whether the truth or the prediction has one value only in a draw."""
    drawn = weights > 0
    constant = np.zeros(len(weights), bool)
    for side in range(2):
        low = np.array([m.low[side] for m in moments])
        high = np.array([m.high[side] for m in moments])
        least = np.where(drawn, low, np.inf).min(1)
        constant |= least == np.where(drawn, high, -np.inf).max(1)
    return constant


def drawn_counts(weights: np.ndarray, counts: Sequence[np.ndarray]) -> np.ndarray:
    """(D, ...) sums of V arrays of counts (...), each taken as often as (D, V) weights say."""
    table = np.stack(counts).astype(np.float64)
    return (weights @ table.reshape(len(table), -1)).reshape(len(weights), *table.shape[1:])
