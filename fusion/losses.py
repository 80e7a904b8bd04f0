"""Masked losses: Scores and Targets of a batch > one loss a task > weighted total.

A label that is not there has no influence and gets a gradient of exactly zero; a task without any
label in the batch has a loss of 0. Losses are computed in float32 even under mixed precision.

Letters: B windows, T frames, N valid elements, C classes, U units.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.abaw.labels import DIMENSIONS, EXPRESSIONS, UNITS, FrameLabels
from fusion.batch import Scores, Targets

MIN_SPREAD = 1e-6
"""Least denominator of 1 - CCC; labels have three decimals, so a spread of 1e-3 is none."""


@dataclass(frozen=True)
class LossSettings:
    """What is learnt how eagerly.

    Attributes:
        va: Weight of the VA task in training; 0 leaves it out.
        expr: Weight of the EXPR task.
        au: Weight of the AU task.
        balance: How far rare classes and units are weighted up: their weight is the inverse of
            their frequency in the training labels to this power. 0: not at all; 1: all classes
            count the same, however rare; .5, the square root, keeps a class with a handful of
            frames from drowning the rest.
        label_smoothing: Share of each expression label that is spread over all classes.
    """

    va: float = 1.0
    expr: float = 1.0
    au: float = 1.0
    balance: float = 0.5
    label_smoothing: float = 0.1


@dataclass(frozen=True)
class LabelCounts:
    """How often each label occurs among the valid ones.

    Attributes:
        expr: (C,) int64, frames of each expression.
        au_on: (U,) int64, frames with the unit on.
        au_off: (U,) int64, frames with the unit off.
    """

    expr: np.ndarray
    au_on: np.ndarray
    au_off: np.ndarray


def label_counts(labels: Iterable[FrameLabels]) -> LabelCounts:
    """Counts the valid labels of clips; give it those of the training split only."""
    expr = np.zeros(len(EXPRESSIONS), np.int64)
    au_on, au_off = np.zeros(len(UNITS), np.int64), np.zeros(len(UNITS), np.int64)
    for clip in labels:
        expr += np.bincount(clip.expr[clip.expr_mask], minlength=len(EXPRESSIONS))
        au_on += ((clip.au > 0.5) & clip.au_mask).sum(axis=0)
        au_off += ((clip.au <= 0.5) & clip.au_mask).sum(axis=0)
    return LabelCounts(expr, au_on, au_off)


def expr_weights(counts: LabelCounts, balance: float) -> Tensor:
    """Weight of each expression in the cross-entropy, (C,) float32.

    frequency^-balance, scaled to a mean of 1 over the training labels. A class that never occurs
    in training gets 1; it can only matter through label smoothing.
    """
    seen = counts.expr > 0
    share = counts.expr[seen] / max(counts.expr.sum(), 1)
    weights = np.ones(len(counts.expr), np.float32)
    if seen.any():
        raw = share**-balance
        weights[seen] = raw / (raw * share).sum()
    return torch.from_numpy(weights)


def au_pos_weights(counts: LabelCounts, balance: float) -> Tensor:
    """Weight of 'on' against 'off' of each unit, (U,) float32: (off / on)^balance.

    A unit that training never shows on, or never off, gets 1.
    """
    both = (counts.au_on > 0) & (counts.au_off > 0)
    ratio = np.divide(counts.au_off, counts.au_on, out=np.ones(len(both)), where=both)
    return torch.from_numpy((ratio**balance).astype(np.float32))


def ccc_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - CCC over all elements, with population moments, as the official metric has them.

    1 - 2 cov / (var_p + var_t + (mean_p - mean_t)^2) is the same as
    mean((p - t)^2) / (var_p + var_t + (mean_p - mean_t)^2), which is used here because it is
    exactly 0 for a perfect prediction and never divides two nearly equal differences. The
    denominator is held at or above `MIN_SPREAD` instead of adding to it: nothing is biased
    where there is any spread, and constant targets give neither NaN nor huge gradients.

    Args:
        predicted: (N,).
        target: (N,).

    Returns:
        Scalar in [0, 2]; 0 with zero gradient if N = 0.
    """
    if not len(predicted):
        return predicted.sum()
    gap = predicted.mean() - target.mean()
    spread = predicted.var(correction=0) + target.var(correction=0) + gap.square()
    return (predicted - target).square().mean() / spread.clamp(min=MIN_SPREAD)


class MultiTaskLoss(nn.Module):
    """The losses of all tasks and their weighted sum.

    Args:
        settings: Weights of the tasks and label smoothing.
        expr_weights: (C,) weight of each expression.
        au_pos_weights: (U,) weight of 'on' of each unit.
    """

    expr_weights: Tensor
    au_pos_weights: Tensor

    def __init__(
        self, settings: LossSettings, expr_weights: Tensor, au_pos_weights: Tensor
    ) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("expr_weights", expr_weights)
        self.register_buffer("au_pos_weights", au_pos_weights)

    def forward(self, scores: Scores, targets: Targets) -> dict[str, Tensor]:
        """Scalars `va`, `expr`, `au` (each unweighted) and `total`."""
        losses = {
            "va": self._va(scores.va.float(), targets),
            "expr": self._expr(scores.expr.float(), targets),
            "au": self._au(scores.au.float(), targets),
        }
        weights = {task: getattr(self.settings, task) for task in losses}
        losses["total"] = torch.stack([weights[task] * losses[task] for task in losses]).sum()
        return losses

    def _va(self, va: Tensor, targets: Targets) -> Tensor:
        """Mean of 1 - CCC over valence and arousal, each over all valid frames of the batch."""
        predicted, target = va[targets.va_mask], targets.va[targets.va_mask]
        dimensions = range(len(DIMENSIONS))
        return torch.stack([ccc_loss(predicted[:, d], target[:, d]) for d in dimensions]).mean()

    def _expr(self, logits: Tensor, targets: Targets) -> Tensor:
        """Class-weighted cross-entropy; a weighted mean over the valid frames."""
        chosen = logits[targets.expr_mask]
        if not len(chosen):
            return chosen.sum()
        return functional.cross_entropy(
            chosen,
            targets.expr[targets.expr_mask],
            weight=self.expr_weights,
            label_smoothing=self.settings.label_smoothing,
        )

    def _au(self, logits: Tensor, targets: Targets) -> Tensor:
        """Positive-weighted binary cross-entropy; mean over the valid elements."""
        chosen = logits[targets.au_mask]
        if not len(chosen):
            return chosen.sum()
        positive = self.au_pos_weights.expand(targets.au_mask.shape)[targets.au_mask]
        return functional.binary_cross_entropy_with_logits(
            chosen, targets.au[targets.au_mask], pos_weight=positive
        )
