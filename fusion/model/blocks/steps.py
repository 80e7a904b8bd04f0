"""Coarser time: frames > steps, each the mean of `stride` frames > the frames of each step again.

Letters: B windows, T frames, P steps, D channels.
"""

from torch import Tensor
from torch.nn import functional


def pool(x: Tensor, frames: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Means over every `stride` frames, padding left out.

    Args:
        x: (B, T, D).
        frames: (B, T) bool, False on padding.
        stride: Frames a step; the last step may have fewer.

    Returns:
        (B, P, D) means, and (B, P) bool, whether a step has any frame.
    """
    absent = -x.shape[1] % stride
    keep = functional.pad(frames, (0, absent)).unflatten(1, (-1, stride))  # (B, P, stride)
    weight = keep.unsqueeze(-1).to(x.dtype)
    grouped = functional.pad(x, (0, 0, 0, absent)).unflatten(1, (-1, stride))
    mean = (grouped * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1.0)
    return mean, keep.any(dim=2)


def spread(steps: Tensor, frames: int, stride: int, *, causal: bool = False) -> Tensor:
    """Gives each frame its step again.

    Args:
        steps: (B, P, D).
        frames: T.
        stride: Frames a step.
        causal: Whether a frame gets the last step that has ended by then, and zero before any has.

    Returns:
        (B, T, D).
    """
    each = steps.repeat_interleave(stride, dim=1)
    if causal:
        each = functional.pad(each, (0, 0, stride - 1, 0))
    return each[:, :frames]
