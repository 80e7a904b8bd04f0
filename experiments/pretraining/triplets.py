"""Metric learning of expressions from triplets of faces.

Data flow: class labels > triplets (anchor, positive, negative) > vectors of a net > loss, score.

In a triplet, anchor and positive look more alike than either does with the negative (FECNet:
Vemulapalli and Agarwala 2019, "A Compact Embedding for Facial Expression Similarity"; PASN:
Zhang et al. 2021, "Prior Aided Streaming Network for Multi-task Affective Recognition").
"""

import torch
from torch import Tensor

from features.errors import UserError

ONE_CLASS_MARGIN, OTHER_MARGIN = 0.1, 0.2
"""FECNet's margins: for triplets whose faces are all of one class, and of two or three classes."""


def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float | Tensor = OTHER_MARGIN
) -> Tensor:
    """Triplet loss over both directions, squared distances (FECNet, equation 1; used by PASN).

    mean of relu(|a - p|^2 - |a - n|^2 + m) + relu(|a - p|^2 - |p - n|^2 + m).

    Args:
        anchor: (N, D), of unit norm, as the two others.
        positive: (N, D).
        negative: (N, D).
        margin: One number, or one per triplet (N,).
    """
    near = (anchor - positive).square().sum(1)
    far_from_anchor = (anchor - negative).square().sum(1)
    far_from_positive = (positive - negative).square().sum(1)
    losses = (near - far_from_anchor + margin).relu() + (near - far_from_positive + margin).relu()
    return losses.mean()


def triplet_accuracy(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    """Share of triplets in which anchor and positive are the nearest two (chance: 1 / 3).

    Args:
        anchor: (N, D), N > 0.
        positive: (N, D).
        negative: (N, D).
    """
    near = (anchor - positive).square().sum(1)
    far = torch.minimum((anchor - negative).square().sum(1), (positive - negative).square().sum(1))
    return (near < far).float().mean().item()


def draw_triplets(labels: Tensor, generator: torch.Generator, count: int) -> Tensor:
    """Random triplets of two pictures of one class and one of another.

    Every class is as often the anchor's, and the negative's among the others, whatever its size.

    Args:
        labels: (M,) long, classes of the pictures.
        generator: Source of chance.
        count: How many triplets.

    Returns:
        (count, 3) long, indices of anchor, positive (never the anchor itself) and negative.

    Raises:
        UserError: With fewer than two classes, or no class of two pictures.
    """
    order = labels.argsort(stable=True)
    _, sizes = labels.unique(return_counts=True)
    paired = (sizes > 1).nonzero()[:, 0]
    if len(sizes) < 2 or len(paired) == 0:
        raise UserError("triplets need two classes of pictures, one of them of two pictures")
    starts = sizes.cumsum(0) - sizes

    def below(limits: Tensor) -> Tensor:
        # float64: in float32, rand * limit could round up to the limit itself
        chance = torch.rand(len(limits), generator=generator, dtype=torch.float64)
        return (chance * limits).long()

    same = paired[below(torch.full((count,), len(paired)))]
    other = (same + 1 + below(torch.full((count,), len(sizes) - 1))) % len(sizes)
    first = below(sizes[same])
    second = (first + 1 + below(sizes[same] - 1)) % sizes[same]
    third = below(sizes[other])
    places = torch.stack([starts[same] + first, starts[same] + second, starts[other] + third], 1)
    return order[places]
