"""Losses of one continuous value: values and truth of all valid frames of a batch > one number.

Letters: N valid frames, K bins.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from fusion.tasks.learning.bins import bin_of

MIN_SPREAD = 1e-6
"""Least denominator of 1 - CCC; labels have three decimals, so a spread of 1e-3 is none."""

ValueLoss = Literal["ccc", "smooth_l1+ccc", "bins+ccc", "mse"]


def value_loss(
    kind: ValueLoss,
    predicted: Tensor,
    target: Tensor,
    bins: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Loss of one value.

    Args:
        kind: `ccc`: 1 - CCC; `smooth_l1+ccc`: SmoothL1 + (1 - CCC), as PASN's released code has it;
            `bins+ccc`: cross-entropy over bins + (1 - CCC) of their expectation, as Vu et al.
            (2021) have it; `mse`: squared error, as FPN-MAA's released code has it.
        predicted: (N,).
        target: (N,), in [-1, 1] where there are bins.
        bins: (N, K) logits of bins, for `bins+ccc`.
        weights: (N,) weights of the frames, but for the cross-entropy; None: all the same.

    Returns:
        Scalar; 0 with zero gradient if N = 0, and 0 for a perfect prediction, but for `bins+ccc`,
        which is 0 only in the limit of certainty.
    """
    if kind == "mse":
        return squared_error(predicted, target, weights)
    loss = ccc_loss(predicted, target, weights)
    if kind == "smooth_l1+ccc":
        return loss + smooth_l1_loss(predicted, target, weights)
    if kind == "bins+ccc":
        assert bins is not None, "bins+ccc is of a head over bins"
        return loss + bins_loss(bins, target)
    return loss


def bins_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the bins that the values lie in, mean over frames.

    Args:
        logits: (N, K).
        target: (N,).

    Returns:
        Scalar; 0 with zero gradient if N = 0.
    """
    if not len(logits):
        return logits.sum()
    return functional.cross_entropy(logits, bin_of(target, logits.shape[-1]))


def squared_error(predicted: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of the squared error; arguments and result as of `smooth_l1_loss`."""
    if not len(predicted):
        return predicted.sum()
    return _mean((predicted - target).square(), weights)


def smooth_l1_loss(predicted: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of d^2 / 2 where the error d is below 1 and of d - 1/2 beyond (Girshick 2015, eq. 3).

    Args:
        predicted: (N,).
        target: (N,).
        weights: (N,), not all 0; None: all the same.

    Returns:
        Scalar; 0 with zero gradient if N = 0.
    """
    if not len(predicted):
        return predicted.sum()
    return _mean(functional.smooth_l1_loss(predicted, target, reduction="none"), weights)


def ccc_loss(predicted: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - CCC over all elements, with population moments, as the official metric has them.

    1 - 2 cov / (var_p + var_t + (mean_p - mean_t)^2) is the same as
    mean((p - t)^2) / (var_p + var_t + (mean_p - mean_t)^2), which is used here because it is
    exactly 0 for a perfect prediction and never divides two nearly equal differences. The
    denominator is held at or above `MIN_SPREAD` instead of adding to it: nothing is biased
    where there is any spread, and constant targets give neither NaN nor huge gradients.

    Args:
        predicted: (N,).
        target: (N,).
        weights: (N,) weights of the elements in all moments, not all 0; None: all the same.

    Returns:
        Scalar in [0, 2]; 0 with zero gradient if N = 0.
    """
    if not len(predicted):
        return predicted.sum()
    gap = _mean(predicted, weights) - _mean(target, weights)
    spread = _variance(predicted, weights) + _variance(target, weights) + gap.square()
    return _mean((predicted - target).square(), weights) / spread.clamp(min=MIN_SPREAD)


def _mean(x: Tensor, weights: Tensor | None) -> Tensor:
    return x.mean() if weights is None else (weights * x).sum() / weights.sum()


def _variance(x: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return x.var(correction=0)
    return _mean((x - _mean(x, weights)).square(), weights)
