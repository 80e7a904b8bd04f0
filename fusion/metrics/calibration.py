"""Whether scores mean what they say: probabilities as frequencies, values as values.

labels and predictions, clip by clip > Calibration > expected calibration errors, reliability.

Frames are put into equal-width bins of what was predicted; each bin keeps how many frames it has,
the sum of what was predicted and the sum of what was observed. For expressions that is the
confidence (probability of the decided class) and whether it was right; for a unit its probability
and whether it was on; for valence and arousal the value and the label.

Letters: F frames, N values, M bins, K units or dimensions.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.tasks.labels import DIMENSIONS, UNITS, FrameLabels

BINS = 15
"""Equal-width bins, as Guo et al. (2017) have them."""


@dataclass
class Reliability:
    """Counts of K quantities in M bins from `low` to `high`; pieces add up.

    Attributes:
        low, high: Range of what is predicted.
        counts: (K, M, 3) float64: frames, sum predicted, sum observed.
    """

    low: float
    high: float
    counts: np.ndarray

    @staticmethod
    def empty(quantities: int, low: float = 0.0, high: float = 1.0) -> "Reliability":
        """No frame yet of `quantities` quantities."""
        return Reliability(low, high, np.zeros((quantities, BINS, 3)))

    def add(self, predicted: np.ndarray, observed: np.ndarray, mask: np.ndarray) -> None:
        """Adds (N, K) predicted and observed values where the (N, K) mask holds."""
        quantities = self.counts.shape[0]
        place = np.floor((predicted.astype(np.float64) - self.low) / (self.high - self.low) * BINS)
        place = place.clip(0, BINS - 1).astype(np.int64) + np.arange(quantities) * BINS
        size = quantities * BINS
        sums = [
            np.bincount(place[mask], weights, minlength=size)
            for weights in (None, predicted[mask].astype(np.float64), observed[mask])
        ]
        self.counts += np.stack(sums, axis=-1).reshape(self.counts.shape)

    def errors(self) -> np.ndarray:
        """(K,) expected calibration errors; NaN where there is no frame.

        Mean over the frames of |mean observed - mean predicted| of their bin (Naeini et al., 2015).
        """
        frames = self.counts[..., 0].sum(-1)
        gaps = np.abs(self.counts[..., 2] - self.counts[..., 1]).sum(-1)
        return np.divide(gaps, frames, out=np.full(len(frames), np.nan), where=frames > 0)

    def curves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(K, M) mean predicted, mean observed (NaN in empty bins), and frames of each bin."""
        frames, predicted, observed = np.moveaxis(self.counts, -1, 0)
        some = frames > 0
        means = [
            np.divide(total, frames, out=np.full(frames.shape, np.nan), where=some)
            for total in (predicted, observed)
        ]
        return means[0], means[1], frames


@dataclass
class Calibration:
    """Reliability of all that is predicted, collected clip by clip.

    Attributes:
        expr: Confidence against being right; one quantity.
        au: Probability of each unit against its being on.
        va: Valence and arousal against their labels.
    """

    expr: Reliability = field(default_factory=lambda: Reliability.empty(1))
    au: Reliability = field(default_factory=lambda: Reliability.empty(len(UNITS)))
    va: Reliability = field(default_factory=lambda: Reliability.empty(len(DIMENSIONS), -1.0))

    def add(self, labels: FrameLabels, predictions: FramePredictions) -> None:
        """Adds the frames of one clip, of which labels and predictions have equally many."""
        decided = predictions.expr_class
        confidence = np.take_along_axis(predictions.expr, decided[:, None], axis=1)
        right = (decided == labels.expr)[:, None]
        self.expr.add(confidence, right, labels.expr_mask[:, None])
        self.au.add(predictions.au, labels.au, labels.au_mask)
        both = np.repeat(labels.va_mask[:, None], len(DIMENSIONS), axis=1)
        self.va.add(predictions.va, labels.va, both)

    def unit_errors(self) -> dict[str, float]:
        """Expected calibration error of each unit by its name."""
        return dict(zip(UNITS, self.au.errors().tolist(), strict=True))

    def errors(self) -> dict[str, float]:
        """Expected calibration errors: `EXPR`, and `AU`, the mean over the labelled units."""
        units = [error for error in self.unit_errors().values() if not math.isnan(error)]
        return {
            "EXPR": float(self.expr.errors()[0]),
            "AU": sum(units) / len(units) if units else math.nan,
        }
