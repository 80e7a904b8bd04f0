"""Learning compound expressions from basic ones: a curriculum of mixtures for six sigmoids.

Data flow: features of frames with a basic expression > a share of them mixed in pairs that form a
compound, the rest as they are > head > binary cross-entropy to one or two targets of six.

System 2 of methods.md (Liu et al., ABAW 7): six sigmoids, the share of compound samples rises in
stages, Mixup of two basic expressions, a compound scores the sum of its two. It says neither how
much of each is mixed nor what the targets are. Here:

- The part of the first is drawn from Beta(4, 4): a mixture in which one of the two can hardly be
  told would have a false target, so most keep at least a fifth of each (93 %).
- Both targets are 1, whatever the parts: both expressions are there, and the sum that scores a
  compound is then highest, 2, for the two that are. Parts as targets would add up to 1, which any
  single expression reaches as well.
- Compounds are drawn with equal chance among those that the batch has both expressions of, for the
  official score is a mean over compounds; then a frame of each expression, from any window.

Letters: B windows, T frames of a window, D features, N rows with a basic expression, M mixtures.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.tasks.compound import BASIC_EXPRESSIONS, COMPOUND_PAIRS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.learning.interface import TaskTargets

BASIC = len(BASIC_EXPRESSIONS)
FIRST = EXPRESSIONS.index(BASIC_EXPRESSIONS[0])
"""Number of the first basic expression among all; the others follow."""
CONCENTRATION = 4.0
"""Of the Beta distribution of parts."""
_MANY = 2**62
"""Whole numbers below it, taken modulo a count, are as good as uniform."""


def share_at(epoch: int, schedule: Sequence[tuple[int, float]]) -> float:
    """Share of mixtures in an epoch.

    Args:
        epoch: From 0.
        schedule: Numbers of epochs with their shares, at least one; the last holds for the rest.
    """
    end = 0
    for epochs, share in schedule:
        end += epochs
        if epoch < end:
            return share
    return schedule[-1][1]


def compound_loss(head: nn.Module, frames: Tensor, targets: TaskTargets, share: float) -> Tensor:
    """Mean binary cross-entropy of the six sigmoids over as many rows as frames count.

    Frames count where the label is one of the six; the others get a gradient of exactly zero. A
    batch without any has loss 0.

    Args:
        head: (N, D) to (N, 6) logits.
        frames: (B, T, D) features that the heads read.
        targets: Expressions of the frames.
        share: Of mixtures among the rows, 0 to 1.
    """
    basic = targets.values - FIRST
    counts = targets.mask & (basic >= 0) & (basic < BASIC)
    rows, wanted = compound_batch(frames[counts], basic[counts], share)
    logits = head(rows).float()
    if not len(rows):
        return logits.sum()
    return functional.binary_cross_entropy_with_logits(logits, wanted)


def compound_batch(features: Tensor, basic: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Rows to learn from: mixtures first, then single rows, each at most once.

    Where no two rows form a compound, all are single ones.

    Args:
        features: (N, ...) of any shape, pictures too.
        basic: (N,) int64, index into `BASIC_EXPRESSIONS`.
        share: Of mixtures, 0 to 1.

    Returns:
        (N, ...) rows and (N, 6) float32 targets.
    """
    compounds, pairs = draw_compounds(basic, round(share * len(basic)))
    order = torch.randperm(len(basic), device=basic.device)
    single = order[: len(basic) - len(compounds)]
    mixed = mixup(features[pairs[:, 0]], features[pairs[:, 1]])
    wanted = torch.cat([compound_targets(compounds), functional.one_hot(basic[single], BASIC)])
    return torch.cat([mixed, features[single]]), wanted.float()


def draw_compounds(basic: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draws compounds and for each a row of its first and one of its second expression.

    Args:
        basic: (N,) int64, index into `BASIC_EXPRESSIONS`.
        count: M, how many.

    Returns:
        (M,) int64 index into `COMPOUNDS`, and (M, 2) int64 rows; M is 0 where no two rows form one.
    """
    there = functional.one_hot(basic, BASIC).sum(0)
    members = torch.from_numpy(COMPOUND_PAIRS).to(basic.device)
    possible = torch.nonzero((there[members] > 0).all(dim=1))[:, 0]
    if not len(possible):
        return basic.new_empty(0), basic.new_empty(0, 2)
    compounds = possible[torch.randint(len(possible), (count,), device=basic.device)]
    wanted = members[compounds]
    by_class, first = basic.argsort(stable=True), there.cumsum(0) - there
    chance = torch.randint(_MANY, wanted.shape, device=basic.device)
    return compounds, by_class[first[wanted] + chance % there[wanted]]


def compound_targets(compounds: Tensor) -> Tensor:
    """(M, 6) int64, 1 for both expressions of each of (M,) compounds."""
    members = torch.from_numpy(COMPOUND_PAIRS).to(compounds.device)
    return functional.one_hot(members[compounds], BASIC).sum(1)


def mixup(first: Tensor, second: Tensor) -> Tensor:
    """Mixup of (M, ...) rows with as many others, parts drawn pair by pair (Zhang et al., 2018)."""
    concentration = torch.tensor(CONCENTRATION, device=first.device)
    parts = torch.distributions.Beta(concentration, concentration)
    return blend(first, second, parts.sample((len(first),)))


def blend(first: Tensor, second: Tensor, part: Tensor) -> Tensor:
    """(M, ...) rows, a part (M,) of the first and the rest of the second."""
    part = part.to(first.dtype).view(-1, *[1] * (first.ndim - 1))
    return part * first + (1 - part) * second
