"""Masked losses: Scores and Targets of a batch > one loss a task > weighted total.

A label that is not there has no influence and gets a gradient of exactly zero; a task without any
label in the batch has a loss of 0. Losses are computed in float32 even under mixed precision.
Those of valence-arousal and of units lie in va.py and au.py, what a teacher adds in
distillation.py.

Letters: B windows, T frames of a window, C classes, U units.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.data.batch import Scores, Targets
from fusion.losses.au import au_loss
from fusion.losses.config import LossSettings
from fusion.losses.distillation import label_targets, soft_loss, taught_by, truth_weight
from fusion.losses.va import ccc_loss, va_loss
from fusion.tasks.labels import EXPRESSIONS, UNITS, FrameLabels

__all__ = [
    "LabelCounts",
    "LossSettings",
    "MultiTaskLoss",
    "au_pos_weights",
    "ccc_loss",
    "expr_weights",
    "label_counts",
]

MOST_ON = 50.0
"""Greatest weight of a unit that is on."""


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
    """Weight of 'on' against 'off' of each unit, (U,) float32: (off / on)^balance, at most 50.

    A unit that training never shows on, or never off, gets 1. With balance 1, the cap (`MOST_ON`)
    holds for units that are on in less than 2 % of the frames: without it, a handful of frames,
    true or mistaken, would outweigh all others.
    """
    both = (counts.au_on > 0) & (counts.au_off > 0)
    ratio = np.divide(counts.au_off, counts.au_on, out=np.ones(len(both)), where=both)
    return torch.from_numpy(np.minimum(ratio**balance, MOST_ON).astype(np.float32))


class MultiTaskLoss(nn.Module):
    """The losses of all tasks and their weighted sum.

    With uncertainty weighting, a task's part of the sum is its weight times
    exp(-s) / 2 L + s / 2, where s, 0 at first, is learnt: Kendall, Gal and Cipolla (2018),
    "Multi-task learning using uncertainty to weigh losses". Without a label or a teacher's word
    in the batch it is 0.

    Args:
        settings: Weights of the tasks and kinds of their losses.
        expr_weights: (C,) weight of each expression.
        au_pos_weights: (U,) weight of 'on' of each unit.

    Raises:
        UserError: For settings that make no loss.
    """

    expr_weights: Tensor
    au_pos_weights: Tensor

    def __init__(
        self, settings: LossSettings, expr_weights: Tensor, au_pos_weights: Tensor
    ) -> None:
        super().__init__()
        settings.check()
        self.settings = settings
        self.register_buffer("expr_weights", expr_weights)
        self.register_buffer("au_pos_weights", au_pos_weights)
        self.log_variance: nn.ParameterDict | None = None
        if settings.weighting == "uncertainty":
            learnt = {task: nn.Parameter(torch.zeros(())) for task in ("va", "expr", "au")}
            self.log_variance = nn.ParameterDict(learnt)

    def forward(
        self,
        scores: Scores,
        targets: Targets,
        teacher: Scores | None = None,
        frames: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            scores: What the model says.
            targets: The truth.
            teacher: What the teacher says; None without one.
            frames: (B, T) bool, real frames, on which alone there is teaching; None: all.

        Returns:
            Scalars `va`, `expr`, `au` (each without the weight of its task) and `total`.

        Raises:
            UserError: For a loss over bins of a model without.
        """
        if frames is None:
            frames = torch.ones_like(targets.va_mask)
        if teacher is not None and self.settings.teaching == "labels":
            targets, teacher = label_targets(targets, teacher, frames), None
        losses = {
            "va": self._va(scores, targets),
            "expr": self._expr(scores.expr.float(), targets),
            "au": self._au(scores.au.float(), targets),
        }
        masks = {task: getattr(targets, f"{task}_mask") for task in losses}
        if teacher is not None:
            taught, truth = vars(taught_by(teacher, frames)), self.settings.truth
            soft = soft_loss(scores, teacher, targets, frames, self.settings)
            for task, loss in soft.items():
                weight = truth_weight(masks[task], taught[task], truth)
                losses[task] = weight * losses[task] + loss
                masks[task] = masks[task] | taught[task]
        parts = [self._part(task, loss, masks[task]) for task, loss in losses.items()]
        losses["total"] = torch.stack(parts).sum()
        return losses

    def _part(self, task: str, loss: Tensor, known: Tensor) -> Tensor:
        """What a task adds to the total, given the mask of what is known of it."""
        weight = getattr(self.settings, task)
        if self.log_variance is None:
            return weight * loss
        learnt = self.log_variance[task]
        return weight * known.any() * 0.5 * (torch.exp(-learnt) * loss + learnt)

    def _va(self, scores: Scores, targets: Targets) -> Tensor:
        """Each dimension over all valid frames of the batch at once."""
        mask = targets.va_mask
        bins = None if scores.va_bins is None else scores.va_bins[mask].float()
        return va_loss(self.settings.va_kind, scores.va[mask].float(), targets.va[mask], bins)

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
        """Over the valid elements."""
        kind, weights = self.settings.au_kind, self.au_pos_weights
        return au_loss(kind, logits, targets.au, targets.au_mask, weights)
