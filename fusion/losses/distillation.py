"""What a student learns from a teacher: Scores of both + Targets > soft losses, or fuller Targets.

Soft teaching (Hinton, Vinyals and Dean 2015; Vu, Beurton-Aimar and Marchand 2021): the loss of a
task, of which M elements are labelled and N are taught, is

    u * (loss of the truth, mean over M) + 1/N * sum over the N of w * KD

w = 1 - truth where an element is labelled and 1 elsewhere; u is the mean over M of `truth` where an
element is taught and 1 elsewhere. So a batch with all labels is taught truth * (loss of the truth)
+ (1 - truth) * KD, one without labels KD alone, and without a teacher there is the truth alone.
KD = T^2 KL(teacher / T || student / T), the teacher's distribution being the reference. Papers also
write the student first, in the order of the arguments of `kl_div(log_softmax(student / T),
softmax(teacher / T))`, which is this same number. How KD is taken of a task's scores the task says
(`Task.soft_loss`).

Teaching by labels (He et al. 2021): the teacher's decisions are labels where there are none.

An element, a frame or an element of a frame's vector, is taught where the frame is real and all
that the teacher says of it is finite. The teacher gets no gradient.

Letters: B windows, T frames of a window (also the temperature).
"""

import torch
from torch import Tensor

from fusion.losses.config import LossSettings
from fusion.tasks.base import Task
from fusion.tasks.learning.interface import TaskTargets


def taught_by(task: Task, teacher: Tensor, frames: Tensor) -> Tensor:
    """The elements of a task that a teacher's scores teach, among real frames (B, T) bool."""
    taught = task.taught(teacher)
    return taught & (frames if taught.ndim == frames.ndim else frames[..., None])


def label_targets(task: Task, targets: TaskTargets, teacher: Tensor, frames: Tensor) -> TaskTargets:
    """The labels of a task, and the teacher's decisions on taught elements that have none.

    Args:
        task: Which.
        targets: The truth, which overrides the teacher element by element.
        teacher: Its scores.
        frames: (B, T) bool, real frames.
    """
    mask, said = targets.mask, task.said(teacher, targets.values)
    known = mask if mask.ndim == said.ndim else mask[..., None]
    values = torch.where(known, targets.values, said)
    return TaskTargets(values, mask | taught_by(task, teacher, frames))


def truth_weight(labelled: Tensor, taught: Tensor, truth: float) -> Tensor:
    """The u of a task, from its two masks; a scalar, 1 where nothing is labelled."""
    share = (labelled & taught).sum() / labelled.sum().clamp(min=1)
    return 1 - (1 - truth) * share


def soft_loss(
    task: Task,
    student: Tensor,
    teacher: Tensor,
    labelled: Tensor,
    taught: Tensor,
    settings: LossSettings,
) -> Tensor:
    """The teacher's part of the loss of a task: the latter term of the formula above.

    Args:
        task: Which.
        student: Scores of what is to be taught.
        teacher: The teacher's.
        labelled: Mask of the truth.
        taught: Mask of what is taught.
        settings: Share of the truth and temperature.

    Returns:
        Scalar; 0 with zero gradient where nothing is taught.
    """
    weights = 1 - settings.truth * labelled[taught].float()  # w
    return task.soft_loss(student, teacher, taught, weights, settings.temperature)
