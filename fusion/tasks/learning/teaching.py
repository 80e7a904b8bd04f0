"""What a teacher's distributions say to a student's, element by element.

Letters: C classes, N elements.
"""

import torch
from torch import Tensor
from torch.nn import functional


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher / T || student / T) of each distribution, in float32.

    Hinton, Vinyals and Dean (2015); T^2 keeps the size of the gradient about constant as T grows.

    Args:
        student: (..., C) logits.
        teacher: (..., C) logits; gets no gradient.
        temperature: T.

    Returns:
        (...).
    """
    ours = functional.log_softmax(student.float() / temperature, dim=-1)
    theirs = functional.log_softmax(teacher.detach().float() / temperature, dim=-1)
    apart = functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=-1)
    return temperature**2 * apart


def on_off(logits: Tensor) -> Tensor:
    """Logits (..., 2) of the classes on and off of an element's logits (...)."""
    return torch.stack([logits, torch.zeros_like(logits)], dim=-1)


def mean_of(x: Tensor) -> Tensor:
    """Mean of (N,), 0 if N = 0."""
    return x.sum() / max(len(x), 1)
