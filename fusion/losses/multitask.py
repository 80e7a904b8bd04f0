"""Masked losses: Scores and Targets of a batch > one loss a task > weighted total.

A label that is not there has no influence and gets a gradient of exactly zero; a task without any
label in the batch has a loss of 0. Losses are computed in float32 even under mixed precision. What
the loss of a task is, the task says (`Task.loss`); what a teacher adds, distillation.py.

Letters: B windows, T frames of a window.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from fusion.data.batch import Scores, Targets
from fusion.losses.config import LossSettings
from fusion.losses.distillation import label_targets, soft_loss, taught_by, truth_weight
from fusion.model.blocks.naming import key_of
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import Tasks

__all__ = ["LossSettings", "MultiTaskLoss", "fit_losses", "fitted_of"]

Fitted = Mapping[str, Mapping[str, Tensor]]
"""Task to what its loss takes from the training labels (see `Task.fit`)."""


def fit_losses(tasks: Tasks, labels: Iterable[FrameLabels]) -> dict[str, dict[str, Tensor]]:
    """What the losses take from the labels of the training split; give it no others."""
    clips = list(labels)
    return {
        name: task.fit([task.labels_in(clip) for clip in clips]) for name, task in tasks.items()
    }


def fitted_of(state: Mapping[str, Tensor], tasks: Tasks) -> dict[str, dict[str, Tensor]]:
    """What the losses took from the training labels, as a checkpoint's weights hold it."""
    fitted: dict[str, dict[str, Tensor]] = {name: {} for name in tasks}
    for key, tensor in state.items():
        owners = [name for name in tasks if key.startswith(f"loss.{name}_")]
        if owners:
            name = max(owners, key=len)
            fitted[name][key.removeprefix(f"loss.{name}_")] = tensor
    return fitted


class MultiTaskLoss(nn.Module):
    """The losses of all tasks and their weighted sum.

    With uncertainty weighting, a task's part of the sum is its weight times
    exp(-s) / 2 L + s / 2, where s, 0 at first, is learnt: Kendall, Gal and Cipolla (2018),
    "Multi-task learning using uncertainty to weigh losses". Without a label or a teacher's word
    in the batch it is 0.

    Args:
        settings: How the losses are joined.
        tasks: Whose losses.
        fitted: What they take from the training labels.

    Raises:
        UserError: For settings that make no loss.
    """

    def __init__(self, settings: LossSettings, tasks: Tasks, fitted: Fitted) -> None:
        super().__init__()
        settings.check()
        self.settings = settings
        self.tasks = {name: task for name, task in tasks.items() if not task.by_features}
        self._fitted = {name: tuple(fitted.get(name, {})) for name in self.tasks}
        for name, parts in fitted.items():
            for part, tensor in parts.items():
                self.register_buffer(f"{name}_{part}", tensor)
        self.log_variance: nn.ParameterDict | None = None
        if settings.weighting == "uncertainty":
            learnt = {key_of(name): nn.Parameter(torch.zeros(())) for name in self.tasks}
            self.log_variance = nn.ParameterDict(learnt)

    def forward(
        self,
        scores: Scores,
        targets: Targets,
        teacher: Scores | None = None,
        frames: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The losses of a batch.

        Args:
            scores: What the model says.
            targets: The truth.
            teacher: What the teacher says, of the tasks that it teaches; None without one.
            frames: (B, T) bool, real frames, on which alone there is teaching; None: all.

        Returns:
            A scalar for each task (without its weight) and `total`.
        """
        losses: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        for name, task in self.tasks.items():
            own, truth = scores[name], targets[name]
            real = torch.ones_like(own[..., 0], dtype=torch.bool) if frames is None else frames
            said = (teacher or {}).get(name)
            if said is not None and self.settings.teaching == "labels":
                truth, said = label_targets(task, truth, said, real), None
            loss = task.loss(own, truth, self._parts_of(name))
            known = truth.mask
            if said is not None:
                taught = taught_by(task, said, real)
                soft = soft_loss(task, own, said, truth.mask, taught, self.settings)
                loss = truth_weight(truth.mask, taught, self.settings.truth) * loss + soft
                known = known | taught
            losses[name] = loss
            parts.append(self._part(name, loss, known))
        losses["total"] = torch.stack(parts).sum()
        return losses

    def _parts_of(self, task: str) -> dict[str, Tensor]:
        """What a task's loss takes from the training labels."""
        return {part: getattr(self, f"{task}_{part}") for part in self._fitted[task]}

    def _part(self, task: str, loss: Tensor, known: Tensor) -> Tensor:
        """What a task adds to the total, given the mask of what is known of it."""
        weight = self.tasks[task].weight
        if self.log_variance is None:
            return weight * loss
        learnt = self.log_variance[key_of(task)]
        return weight * known.any() * 0.5 * (torch.exp(-learnt) * loss + learnt)
