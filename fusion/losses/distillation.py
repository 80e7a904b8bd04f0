"""What a student learns from a teacher: Scores of both + Targets > soft losses, or fuller Targets.

Soft teaching (Hinton, Vinyals and Dean 2015; Vu, Beurton-Aimar and Marchand 2021): the loss of a
task, of which M elements are labelled and N are taught, is

    u * (loss of the truth, mean over M) + 1/N * sum over the N of w * KD

w = 1 - truth where an element is labelled and 1 elsewhere; u is the mean over M of `truth` where an
element is taught and 1 elsewhere. So a batch with all labels is taught truth * (loss of the truth)
+ (1 - truth) * KD, one without labels KD alone, and without a teacher there is the truth alone.
KD = T^2 KL(teacher / T || student / T), the teacher's distribution being the reference. Papers also
write the student first, in the order of the arguments of `kl_div(log_softmax(student / T),
softmax(teacher / T))`, which is this same number. T^2 keeps the size of its gradient about constant
as T grows.

Teaching by labels (He et al. 2021): the teacher's decisions are labels where there are none.

An element, a frame of VA and EXPR or a unit of a frame, is taught where the frame is real and all
that the teacher says of it is finite: a teacher that does not teach a task says NaN. The teacher
gets no gradient.

Letters: B windows, T frames of a window (also the temperature), U units, K bins, C classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fusion.data.batch import Scores, Targets
from fusion.losses.config import LossSettings
from fusion.losses.va import va_loss


@dataclass(frozen=True)
class Taught:
    """Which elements a teacher says something of.

    Attributes:
        va: (B, T) bool.
        expr: (B, T) bool.
        au: (B, T, U) bool.
    """

    va: Tensor
    expr: Tensor
    au: Tensor


def taught_by(teacher: Scores, frames: Tensor) -> Taught:
    """The elements that a teacher teaches, among real frames (B, T) bool."""
    va = teacher.va.isfinite().all(dim=-1)
    if teacher.va_bins is not None:
        va = va & teacher.va_bins.isfinite().flatten(2).all(dim=-1)
    expr = teacher.expr.isfinite().all(dim=-1)
    return Taught(frames & va, frames & expr, frames[..., None] & teacher.au.isfinite())


def label_targets(targets: Targets, teacher: Scores, frames: Tensor) -> Targets:
    """The labels, and the teacher's decisions on taught elements that have none.

    Args:
        targets: The truth, which overrides the teacher element by element.
        teacher: What it says: values, the expression of the highest logit, units whose logit is
            at least 0.
        frames: (B, T) bool, real frames.
    """
    taught = taught_by(teacher, frames)
    decided = (teacher.au.detach() >= 0).to(targets.au)
    return Targets(
        va=torch.where(targets.va_mask[..., None], targets.va, teacher.va.detach().to(targets.va)),
        va_mask=targets.va_mask | taught.va,
        expr=torch.where(targets.expr_mask, targets.expr, teacher.expr.argmax(dim=-1)),
        expr_mask=targets.expr_mask | taught.expr,
        au=torch.where(targets.au_mask, targets.au, decided),
        au_mask=targets.au_mask | taught.au,
    )


def truth_weight(labelled: Tensor, taught: Tensor, truth: float) -> Tensor:
    """The u of a task, from its two masks; a scalar, 1 where nothing is labelled."""
    share = (labelled & taught).sum() / labelled.sum().clamp(min=1)
    return 1 - (1 - truth) * share


def soft_loss(
    student: Scores, teacher: Scores, targets: Targets, frames: Tensor, settings: LossSettings
) -> dict[str, Tensor]:
    """The teacher's part of the loss of each task: the latter term of the formula above.

    VA is taught by its bins, KD being the mean of valence's and arousal's. Where student and
    teacher have not as many of them, it is taught by its values, with the loss of `va_kind` that
    needs no bins, w as weight of a frame and no T.

    Args:
        student: What is to be taught.
        teacher: The same shapes, but for its bins.
        targets: The truth, of which only the masks matter.
        frames: (B, T) bool, real frames.
        settings: Share of the truth, temperature and kind of VA loss.

    Returns:
        Scalars `va`, `expr` and `au`; 0 with zero gradient where nothing is taught.
    """
    taught = taught_by(teacher, frames)
    weights = {  # w
        task: 1 - settings.truth * getattr(targets, f"{task}_mask")[mask].float()
        for task, mask in vars(taught).items()
    }
    heat = settings.temperature
    expr = divergence(student.expr[taught.expr], teacher.expr[taught.expr], heat)
    au = divergence(on_off(student.au[taught.au]), on_off(teacher.au[taught.au]), heat)
    return {
        "va": _soft_va(student, teacher, taught.va, weights["va"], settings),
        "expr": _mean(weights["expr"] * expr),
        "au": _mean(weights["au"] * au),
    }


def _soft_va(
    student: Scores, teacher: Scores, taught: Tensor, weights: Tensor, settings: LossSettings
) -> Tensor:
    """The teacher's part for VA, from the mask (B, T) of N taught frames and their w (N,)."""
    ours, theirs = student.va_bins, teacher.va_bins
    if ours is not None and theirs is not None and ours.shape == theirs.shape:
        apart = divergence(ours[taught], theirs[taught], settings.temperature)
        return _mean(weights * apart.mean(dim=-1))
    kind = "ccc" if settings.va_kind == "bins+ccc" else settings.va_kind
    counts = weights > 0  # weights may not all be 0
    said, truth = student.va[taught][counts], teacher.va[taught][counts]
    loss = va_loss(kind, said.float(), truth.detach().float(), weights=weights[counts])
    return loss * _mean(weights)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KD of each distribution: (..., C) logits of both to (...), in float32."""
    ours = functional.log_softmax(student.float() / temperature, dim=-1)
    theirs = functional.log_softmax(teacher.detach().float() / temperature, dim=-1)
    apart = functional.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=-1)
    return temperature**2 * apart


def on_off(logits: Tensor) -> Tensor:
    """Logits (..., 2) of the classes on and off of a unit's logits (...)."""
    return torch.stack([logits, torch.zeros_like(logits)], dim=-1)


def _mean(x: Tensor) -> Tensor:
    """Mean of (N,), 0 if N = 0."""
    return x.sum() / max(len(x), 1)
