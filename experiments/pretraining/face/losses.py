"""What the `face` network learns: a weighted sum of losses, each over faces that have its label.

Letters: N faces.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from experiments.pretraining.face.data import Faces
from experiments.pretraining.face.views import Views

SMOOTHING = 0.1
TEMPERATURE = 2.0
"""Of the distillation (Hinton et al. 2015)."""
LEAST_DEVIATION = 0.01
"""Blendshapes that move less are not enlarged to unit variance, which would be noise."""
POSE_UNIT = 10.0
"""Degrees that count as much as a standard deviation of a blendshape."""
CLOCKWISE = 1.0
"""GENKI-4K's roll grows as the picture turns clockwise (+1) or the other way (-1)."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses.

    Args:
        label: FER2013's labels, classes balanced in part.
        votes: FER+'s shares.
        teacher: The `expression` net's probabilities.
        hint: Its embedding.
        blendshapes: The mesh teacher's, standardised.
        smile: GENKI-4K's.
        pose: GENKI-4K's.
    """

    label: float = 1.0
    votes: float = 1.5
    teacher: float = 0.5
    hint: float = 0.3
    blendshapes: float = 1.0
    smile: float = 1.0
    pose: float = 2.0


@dataclass(frozen=True)
class Targets:
    """Labels as tensors, with what standardises them; NaN or -1 where there is none."""

    label: Tensor
    votes: Tensor
    teacher: Tensor
    hint: Tensor
    blendshapes: Tensor
    smile: Tensor
    pose: Tensor
    class_weights: Tensor
    shape_mean: Tensor
    shape_std: Tensor

    def __len__(self) -> int:
        return len(self.label)


def targets_of(faces: Faces, balance: float) -> Targets:
    """Labels of training faces; rare classes weigh more by their share to the power of -balance."""
    label = torch.from_numpy(faces.label).long()
    share = torch.bincount(label[label >= 0], minlength=7) / (label >= 0).sum()
    raw = share**-balance
    hint = torch.from_numpy(faces.hint).float()
    shapes = torch.from_numpy(faces.blendshapes)
    known = shapes[torch.isfinite(shapes[:, 0])]
    return Targets(
        label=label,
        votes=torch.from_numpy(faces.votes),
        teacher=torch.from_numpy(faces.teacher),
        hint=(hint - hint.mean(0)) / hint.std(0).clamp(min=0.05),
        blendshapes=shapes,
        smile=torch.from_numpy(faces.smile),
        pose=torch.from_numpy(faces.pose.astype(np.float32)),
        class_weights=raw / (raw * share).sum(),
        shape_mean=known.mean(0),
        shape_std=known.std(0).clamp(min=LEAST_DEVIATION),
    )


def losses(
    heads: dict[str, Tensor], hint: Tensor, targets: Targets, pick: Tensor, views: Views
) -> dict[str, Tensor]:
    """Each loss by the name of its weight, a mean over all N faces of the batch.

    Faces without a label add 0, so that rare labels do not speak louder in a batch that has few.

    Args:
        heads: Raw outputs of the network, (N, D) by name.
        hint: (N, 256) what a linear map of the embedding makes of the teacher's.
        targets: Of all training faces.
        pick: (N,) which faces these are.
        views: How they were changed.
    """
    n, fer = len(pick), heads["fer"]
    label, votes = targets.label[pick], targets.votes[pick]
    known = label >= 0
    labelled = functional.cross_entropy(
        fer[known],
        label[known],
        targets.class_weights,
        label_smoothing=SMOOTHING,
        reduction="sum",
    )
    found = {"label": labelled / n}
    voted = torch.isfinite(votes[:, 0])
    found["votes"] = (
        functional.kl_div(heads["votes"][voted].log_softmax(1), votes[voted], reduction="sum") / n
    )
    soft = (targets.teacher[pick] / TEMPERATURE).softmax(1)
    student = (fer / TEMPERATURE).log_softmax(1)
    found["teacher"] = functional.kl_div(student, soft, reduction="batchmean") * TEMPERATURE**2
    found["hint"] = functional.mse_loss(hint, targets.hint[pick])
    shapes = (views.shapes(targets.blendshapes[pick]) - targets.shape_mean) / targets.shape_std
    found["blendshapes"] = _squared(heads["blendshapes"], shapes.clamp(-4, 8), n)
    smile = targets.smile[pick]
    rated = torch.isfinite(smile)
    found["smile"] = (
        functional.binary_cross_entropy_with_logits(
            heads["smile"][rated, 0], smile[rated], reduction="sum"
        )
        / n
    )
    pose = views.pose(targets.pose[pick], CLOCKWISE) / POSE_UNIT
    found["pose"] = _squared(heads["pose"], pose, n)
    return found


def weighted(found: dict[str, Tensor], weights: LossWeights) -> dict[str, Tensor]:
    """Each by its weight."""
    return {name: loss * getattr(weights, name) for name, loss in found.items()}


def _squared(guess: Tensor, target: Tensor, n: int) -> Tensor:
    """Mean square over the rows that have a target and their columns, times their share of n."""
    known = torch.isfinite(target[:, 0])
    return ((guess[known] - target[known]) ** 2).mean(1).sum() / n
