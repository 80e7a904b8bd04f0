"""Losses of valence and arousal: values and truth of all valid frames of a batch > one number.

Letters: N valid frames.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

MIN_SPREAD = 1e-6
"""Least denominator of 1 - CCC; labels have three decimals, so a spread of 1e-3 is none."""

VaKind = Literal["ccc", "smooth_l1+ccc"]


def va_loss(kind: VaKind, predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over valence and arousal of the loss of each.

    Args:
        kind: `ccc`: 1 - CCC; `smooth_l1+ccc`: SmoothL1 + (1 - CCC), as PASN's released code has it.
        predicted: (N, 2).
        target: (N, 2).

    Returns:
        Scalar; 0 with zero gradient if N = 0, and 0 for a perfect prediction.
    """
    pairs = list(zip(predicted.unbind(dim=1), target.unbind(dim=1), strict=True))
    losses = torch.stack([ccc_loss(*pair) for pair in pairs])
    if kind == "smooth_l1+ccc":
        losses = losses + torch.stack([smooth_l1_loss(*pair) for pair in pairs])
    return losses.mean()


def smooth_l1_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of d^2 / 2 where the error d is below 1 and of d - 1/2 beyond (Girshick 2015, eq. 3).

    Args:
        predicted: (N,).
        target: (N,).

    Returns:
        Scalar; 0 with zero gradient if N = 0.
    """
    if not len(predicted):
        return predicted.sum()
    return functional.smooth_l1_loss(predicted, target)


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
