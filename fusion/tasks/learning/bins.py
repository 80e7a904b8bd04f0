"""Valence and arousal as bins: values > bins; logits of bins > their expected value.

K equal bins over [-1, 1], each standing for its centre, after Vu, Beurton-Aimar and Marchand
(2021). Their released code takes `linspace(-1, 1, K)` instead, `ends` here: its outermost values
lie half a bin beyond the centres, so what lies in the last bin is said too large by half a bin on
average, but 1 itself can be said.

Letters: K bins; `...` any other dimensions.
"""

import torch
from torch import Tensor

from fusion.tasks.learning.values import BinValues


def centres(bins: int, device: torch.device | None = None) -> Tensor:
    """(K,) float32: -1 + (2 k + 1) / K."""
    return (2 * torch.arange(bins, dtype=torch.float32, device=device) + 1) / bins - 1


def bin_values(kind: BinValues, bins: int, device: torch.device | None = None) -> Tensor:
    """(K,) float32: what each bin stands for."""
    if kind == "ends":
        return torch.linspace(-1, 1, bins, device=device)
    return centres(bins, device)


def bin_of(values: Tensor, bins: int) -> Tensor:
    """Bin of each value (...) in [-1, 1], int64; 1 itself lies in the last one."""
    return ((values + 1) * (bins / 2)).long().clamp(0, bins - 1)


def expectation(logits: Tensor, kind: BinValues = "centres") -> Tensor:
    """Expected value (...) float32 of the softmax over bins of logits (..., K).

    A sum of products, because mixed precision would round those of a matrix product to 8 bits.
    """
    shares = logits.float().softmax(dim=-1)
    return (shares * bin_values(kind, logits.shape[-1], logits.device)).sum(dim=-1)
