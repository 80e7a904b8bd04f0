"""Losses of a binary vector: logits, truth and mask of a batch > one number.

Letters: B windows, T frames of a window, U elements.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

BinaryLoss = Literal["bce", "zlpr+bce"]


def binary_loss(
    kind: BinaryLoss, logits: Tensor, target: Tensor, mask: Tensor, pos_weights: Tensor
) -> Tensor:
    """Loss of the units.

    Args:
        kind: `bce`: binary cross-entropy; `zlpr+bce`: that and ZLPR, plainly added, as PASN's
            released code does.
        logits: (B, T, U).
        target: (B, T, U), 0 or 1.
        mask: (B, T, U) bool.
        pos_weights: (U,) weight of 'on' in the cross-entropy.

    Returns:
        Scalar; 0 with zero gradient if nothing is valid.
    """
    loss = bce_loss(logits, target, mask, pos_weights)
    return loss + zlpr_loss(logits, target, mask) if kind == "zlpr+bce" else loss


def bce_loss(logits: Tensor, target: Tensor, mask: Tensor, pos_weights: Tensor) -> Tensor:
    """Positive-weighted binary cross-entropy; mean over the valid elements.

    Args and result as `binary_loss`.
    """
    chosen = logits[mask]
    if not len(chosen):
        return chosen.sum()
    positive = pos_weights.expand(mask.shape)[mask]
    return functional.binary_cross_entropy_with_logits(chosen, target[mask], pos_weight=positive)


def zlpr_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Zero-bounded log-sum-exp and pairwise rank-based loss; mean over frames with a valid unit.

    Of a frame: log(1 + sum of e^s over units that are off) + log(1 + sum of e^-s over those that
    are on), Su et al. (2022), "ZLPR: a novel loss for multi-label classification", eq. 5. It ranks
    every unit that is on above 0 and every one that is off below, so that 0 is the threshold.

    Args and result as `binary_loss`.
    """
    frames = mask.any(dim=-1)
    logits, mask = logits[frames], mask[frames]
    if not len(logits):
        return logits.sum()
    on = target[frames] > 0.5
    return (_log_1_sum_exp(logits, mask & ~on) + _log_1_sum_exp(-logits, mask & on)).mean()


def _log_1_sum_exp(x: Tensor, mask: Tensor) -> Tensor:
    """log(1 + sum of e^x over the masked part) along the last axis, without overflow."""
    one = x.new_zeros(*x.shape[:-1], 1)
    return torch.cat([one, x.masked_fill(~mask, -torch.inf)], dim=-1).logsumexp(dim=-1)
