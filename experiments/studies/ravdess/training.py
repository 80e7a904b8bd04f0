"""Trains clip models: rows > batches, mixed and with noise > truth [and a teacher's word] > model.

The loss, the groups of parameters, the schedule and the teacher's divergence are those of `fusion`.

Letters: N clips, B clips of a batch, K emotions.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from experiments.studies.ravdess.model import (
    ClipModel,
    ClipSettings,
    Trained,
    fit_projection,
    make_batch,
    make_targets,
)
from experiments.studies.ravdess.streams import Rows
from fusion.data.batch import Batch
from fusion.losses.multitask import LossSettings, MultiTaskLoss, fit_losses
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.learning.teaching import divergence
from fusion.tasks.registry import make_tasks
from fusion.training.optimizer import parameter_groups, warmup_cosine

KD_WEIGHT, KD_TEMPERATURE = 0.4, 1.5
"""Share of the teacher's word beside the truth's and its temperature (Vu et al. 2021)."""


def train_clips(
    rows: Rows,
    settings: ClipSettings,
    seed: int,
    teacher: np.ndarray | None = None,
) -> Trained:
    """Trains on all rows.

    Args:
        rows: Training clips.
        settings: How.
        seed: Of weights, order, noise and dropout.
        teacher: (N, K) log-probabilities to learn from beside the labels.
    """
    torch.manual_seed(seed)
    projections = {name: fit_projection(rows, name, settings) for name in settings.streams}
    whole = make_batch(projections, rows)
    model = ClipModel(settings.model, {name: x.shape[-1] for name, x in whole.streams.items()})
    loss = make_loss(rows.labels, settings.smoothing)
    optimizer = AdamW(
        parameter_groups(model, settings.optimizer.weight_decay), lr=settings.optimizer.lr
    )
    steps = settings.epochs * -(-len(rows) // settings.batch)
    warmup = round(settings.optimizer.warmup * steps)
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, steps))
    taught = None if teacher is None else torch.from_numpy(teacher).float()
    model.train()
    for _ in range(settings.epochs):
        for chosen in torch.randperm(len(rows)).split(settings.batch):
            value = _step_loss(model, loss, settings, whole, taught, chosen)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return Trained(model, projections)


def make_loss(labels: np.ndarray, smoothing: float) -> MultiTaskLoss:
    """The project's loss, weighted by the frequencies of these labels."""
    tasks = make_tasks({"expr": {"label_smoothing": smoothing}})
    known = TaskLabels(labels.astype(np.int64), np.ones(len(labels), bool))
    fitted = fit_losses(tasks, [FrameLabels(len(labels), {"expr": known})])
    return MultiTaskLoss(LossSettings(), tasks, fitted)


def _step_loss(
    model: ClipModel,
    loss: MultiTaskLoss,
    settings: ClipSettings,
    whole: Batch,
    teacher: Tensor | None,
    chosen: Tensor,
) -> Tensor:
    """Loss of some clips, each mixed with another where the settings ask for it."""
    other = chosen[torch.randperm(len(chosen))]
    alpha = settings.mixup
    share = float(torch.distributions.Beta(alpha, alpha).sample()) if alpha else 1.0
    batch = _mixed(whole, chosen, other, share, settings.noise)
    logits = model(batch)
    labels = whole.targets["expr"].values[:, 0]
    value = share * _truth(loss, logits, labels[chosen])
    value = value + (1 - share) * _truth(loss, logits, labels[other])
    if teacher is None:
        return value
    mixture = share * teacher[chosen].exp() + (1 - share) * teacher[other].exp()
    kd = divergence(logits, mixture.clamp_min(1e-9).log(), KD_TEMPERATURE).mean()
    return (1 - KD_WEIGHT) * value + KD_WEIGHT * kd


def _truth(loss: MultiTaskLoss, logits: Tensor, labels: Tensor) -> Tensor:
    return loss({"expr": logits[:, None]}, make_targets(labels))["total"]


def _mixed(whole: Batch, chosen: Tensor, other: Tensor, share: float, noise: float) -> Batch:
    """Rows of a batch, mixed with other rows, with noise."""
    streams = {}
    for name, x in whole.streams.items():
        mixed = share * x[chosen] + (1 - share) * x[other]
        streams[name] = mixed + noise * torch.randn_like(mixed)
    return Batch(
        streams=streams,
        valid={name: v[chosen] & v[other] for name, v in whole.valid.items()},
        frames=whole.frames[chosen],
        targets=whole.targets,
        clip=chosen,
        start=whole.start[chosen],
    )
