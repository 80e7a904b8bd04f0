"""Masked losses: Scores and Targets of a batch > one loss a task > weighted total.

A label that is not there has no influence and gets a gradient of exactly zero; a task without any
label in the batch has a loss of 0. Losses are computed in float32 even under mixed precision.
Those of valence-arousal and of units lie in va_losses.py and au_losses.py.

Letters: C classes, U units.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from features.cli import UserError
from fusion.abaw.labels import EXPRESSIONS, UNITS, FrameLabels
from fusion.au_losses import AuKind, au_loss
from fusion.batch import Scores, Targets
from fusion.va_losses import VaKind, ccc_loss, va_loss

__all__ = [
    "LabelCounts",
    "LossSettings",
    "MultiTaskLoss",
    "au_pos_weights",
    "ccc_loss",
    "expr_weights",
    "label_counts",
]

Weighting = Literal["fixed", "uncertainty"]


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
        va_kind: `ccc`: 1 - CCC; `smooth_l1+ccc`: SmoothL1 added to it.
        au_kind: `bce`: binary cross-entropy; `zlpr+bce`: ZLPR added to it.
        weighting: `fixed`: the weights above; `uncertainty`: these times weights that are learnt.
    """

    va: float = 1.0
    expr: float = 1.0
    au: float = 1.0
    balance: float = 0.5
    label_smoothing: float = 0.1
    va_kind: VaKind = "ccc"
    au_kind: AuKind = "bce"
    weighting: Weighting = "fixed"

    def check(self) -> None:
        """Raises UserError, naming the setting, for a kind there is not."""
        for name, kinds in {"va_kind": VaKind, "au_kind": AuKind, "weighting": Weighting}.items():
            if getattr(self, name) not in get_args(kinds):
                known = " or ".join(get_args(kinds))
                raise UserError(f"loss.{name} {getattr(self, name)} must be {known}")


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


class MultiTaskLoss(nn.Module):
    """The losses of all tasks and their weighted sum.

    With uncertainty weighting, a task's part of the sum is its weight times
    exp(-s) / 2 L + s / 2, where s, 0 at first, is learnt: Kendall, Gal and Cipolla (2018),
    "Multi-task learning using uncertainty to weigh losses". Without a label in the batch it is 0.

    Args:
        settings: Weights of the tasks and kinds of their losses.
        expr_weights: (C,) weight of each expression.
        au_pos_weights: (U,) weight of 'on' of each unit.

    Raises:
        UserError: For a kind there is not.
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

    def forward(self, scores: Scores, targets: Targets) -> dict[str, Tensor]:
        """Scalars `va`, `expr`, `au` (each unweighted) and `total`."""
        losses = {
            "va": self._va(scores.va.float(), targets),
            "expr": self._expr(scores.expr.float(), targets),
            "au": self._au(scores.au.float(), targets),
        }
        parts = [self._part(task, loss, targets) for task, loss in losses.items()]
        losses["total"] = torch.stack(parts).sum()
        return losses

    def _part(self, task: str, loss: Tensor, targets: Targets) -> Tensor:
        """What a task adds to the total."""
        weight = getattr(self.settings, task)
        if self.log_variance is None:
            return weight * loss
        learnt = self.log_variance[task]
        labelled = getattr(targets, f"{task}_mask").any()
        return weight * labelled * 0.5 * (torch.exp(-learnt) * loss + learnt)

    def _va(self, va: Tensor, targets: Targets) -> Tensor:
        """Each dimension over all valid frames of the batch at once."""
        mask = targets.va_mask
        return va_loss(self.settings.va_kind, va[mask], targets.va[mask])

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
