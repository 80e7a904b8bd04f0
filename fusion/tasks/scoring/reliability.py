"""Whether numbers mean what they say: what was predicted against what was observed, in bins.

Frames are put into equal-width bins of what was predicted; each bin keeps how many frames it has,
the sum of what was predicted and the sum of what was observed.

Letters: N values, M bins, K quantities.
"""

from dataclasses import dataclass

import numpy as np

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
