"""How each task's smoothing is compared and its decision fitted: VA, EXPR, AU by one interface.

Data flow: smoothed values of pooled clips + labels > counts of each clip > summed over any set of
clips > official score. Counts add up, so a smoothing is run once and scored for every fold.

EXPR smoothings are compared by the class of highest probability; AU smoothings by each unit's F1 at
its best threshold (of 100), since a rare unit may score 0 at .5 however it is smoothed.

Letters: N frames, K clips, J candidates, C columns of a task.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fusion.postprocess.decision import AuDecision, ExprDecision, VaDecision, log_probabilities
from fusion.postprocess.smoothing import Smoothing
from fusion.postprocess.thresholds import best_bias, best_temperature, best_thresholds
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS, FrameLabels

BINS = 100
"""Of probabilities, to compare smoothings of AU; thresholds are fitted exactly afterwards."""


class Criterion(Protocol):
    """What tuning needs to know of a task."""

    def counts(
        self, values: np.ndarray, labels: FrameLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """(K, ...) that add up over clips, of values (N, C) of clip (N,)."""
        ...

    def scores(self, counts: np.ndarray) -> np.ndarray:
        """(J,) official scores from summed counts (J, ...); 0 without labels."""
        ...

    def fit(self, smoothing: Smoothing, values: np.ndarray, labels: FrameLabels) -> Any:
        """The task's decision that is best on these frames."""
        ...

    def decided(self, decision: Any, values: np.ndarray) -> np.ndarray:
        """What is scored: (N, 2) values, (N,) classes, (N, 12) on or off."""
        ...


class VaCriterion:
    """Mean CCC; counts are (K, 2, 6): frames, sums, squares and product of truth and values."""

    def counts(
        self, values: np.ndarray, labels: FrameLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """See `Criterion`."""
        y, clip = labels.va[labels.va_mask].astype(np.float64), clip[labels.va_mask]
        x = values[labels.va_mask].clip(-1, 1)
        terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=2)
        flat = terms.reshape(len(x), terms.shape[1] * terms.shape[2])
        sums = [np.bincount(clip, weights=column, minlength=clips) for column in flat.T]
        return np.stack(sums, axis=1).reshape(clips, len(DIMENSIONS), 6)

    def scores(self, counts: np.ndarray) -> np.ndarray:
        """See `Criterion`; CCC as in fusion.metrics.official, from raw sums, which [-1, 1]
        allows.
        """
        n, x, y, xx, yy, xy = np.moveaxis(counts, -1, 0)
        spread = n * xx - x**2 + n * yy - y**2 + (x - y) ** 2
        return _ratio(2 * (n * xy - x * y), spread).mean(axis=-1)

    def fit(self, smoothing: Smoothing, values: np.ndarray, labels: FrameLabels) -> VaDecision:
        """See `Criterion`."""
        return VaDecision(smoothing)

    def decided(self, decision: VaDecision, values: np.ndarray) -> np.ndarray:
        """See `Criterion`."""
        return decision.values(values)


class ExprCriterion:
    """Macro-F1; counts are (K, 8, 8): truth by the most probable class."""

    def counts(
        self, values: np.ndarray, labels: FrameLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """See `Criterion`."""
        seen, classes = labels.expr_mask, len(EXPRESSIONS)
        cell = labels.expr[seen] * classes + values[seen].argmax(axis=1)
        found = np.bincount(clip[seen] * classes**2 + cell, minlength=clips * classes**2)
        return found.reshape(clips, classes, classes)

    def scores(self, counts: np.ndarray) -> np.ndarray:
        """See `Criterion`."""
        hits = np.diagonal(counts, axis1=-2, axis2=-1)
        return _ratio(2 * hits, counts.sum(axis=-1) + counts.sum(axis=-2)).mean(axis=-1)

    def fit(self, smoothing: Smoothing, values: np.ndarray, labels: FrameLabels) -> ExprDecision:
        """See `Criterion`: first the temperature, then the bias."""
        values, truth = values[labels.expr_mask], labels.expr[labels.expr_mask]
        temperature = best_temperature(values, truth)
        bias = best_bias(log_probabilities(values) / temperature, truth)
        return ExprDecision(smoothing, temperature, bias)

    def decided(self, decision: ExprDecision, values: np.ndarray) -> np.ndarray:
        """See `Criterion`."""
        return decision.values(values).argmax(axis=1)


class AuCriterion:
    """Mean binary F1; counts are (K, 12, 2, BINS): off or on, by probability."""

    def counts(
        self, values: np.ndarray, labels: FrameLabels, clip: np.ndarray, clips: int
    ) -> np.ndarray:
        """See `Criterion`."""
        units = len(UNITS)
        bins = (values.clip(0, 1) * BINS).astype(np.int64).clip(max=BINS - 1)
        unit = clip[:, None] * units + np.arange(units)
        cell = (unit * 2 + (labels.au > 0)) * BINS + bins
        size = clips * units * 2 * BINS
        found = np.bincount(cell[labels.au_mask], minlength=size).astype(np.int32)
        return found.reshape(clips, units, 2, BINS)

    def scores(self, counts: np.ndarray) -> np.ndarray:
        """See `Criterion`."""
        off, on = np.moveaxis(counts[..., ::-1].cumsum(axis=-1), -2, 0)
        f1 = _ratio(2 * on, on + off + on[..., -1:])
        return f1.max(axis=-1).mean(axis=-1)

    def fit(self, smoothing: Smoothing, values: np.ndarray, labels: FrameLabels) -> AuDecision:
        """See `Criterion`."""
        probabilities = AuDecision().values(values)
        return AuDecision(smoothing, best_thresholds(probabilities, labels.au, labels.au_mask))

    def decided(self, decision: AuDecision, values: np.ndarray) -> np.ndarray:
        """See `Criterion`."""
        return decision.values(values) >= np.array(decision.thresholds, np.float32)


CRITERIA: Mapping[str, Criterion] = {
    "VA": VaCriterion(),
    "EXPR": ExprCriterion(),
    "AU": AuCriterion(),
}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
