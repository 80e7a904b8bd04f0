"""Learning continuous values: a head of numbers in a range, or of bins whose expectation they are.

Letters: B windows, T frames, C values, K bins, W = C (1 + K) scores, N elements.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from features.errors import UserError
from fusion.tasks.base import Task
from fusion.tasks.deciding.interface import D
from fusion.tasks.labels import TaskLabels
from fusion.tasks.learning.interface import TaskSettings, TaskTargets
from fusion.tasks.scoring.interface import S

if TYPE_CHECKING:
    from torch import Tensor

ValueLoss = Literal["ccc", "smooth_l1+ccc", "bins+ccc", "mse"]
BinValues = Literal["centres", "ends"]
HISTOGRAM = 20
"""Bins of each value in the histogram that balances sampling (Vu et al. 2021)."""


@dataclass(frozen=True)
class ValuesSettings(TaskSettings):
    """How values are learnt.

    Attributes:
        loss: `ccc`: 1 - CCC; `smooth_l1+ccc`: SmoothL1 added to it; `bins+ccc`: cross-entropy over
            bins added to it; `mse`: squared error.
        bins: Bins of each value over its range, whose expectation it is; 0: the head says the
            value itself, through tanh.
        bin_values: What a bin stands for: its `centres`, or `ends`, which is linspace(-1, 1, K).
    """

    loss: ValueLoss = "ccc"
    bins: int = 0
    bin_values: BinValues = "centres"

    def check(self, task: str) -> None:
        """See `TaskSettings.check`."""
        super().check(task)
        self._require_choice(task, "loss", ValueLoss)
        self._require_choice(task, "bin_values", BinValues)
        self._require(task, "bins", self.bins == 0 or self.bins > 1, "0, or at least 2")
        if self.loss == "bins+ccc":
            self._require(task, "bins", self.bins > 1, "at least 2 with loss bins+ccc")


class ValuesLearning(Task[S, D]):
    """Learning of C values of a frame.

    Attributes:
        together: Whether all values of a frame are labelled together: one mask (T,), not (T, C).
    """

    kind = "values"
    Settings = ValuesSettings
    settings: ValuesSettings
    together = False

    @abstractmethod
    def value_range(self) -> tuple[float, float]:
        """Least and greatest value."""

    def empty(self, frames: int) -> TaskLabels:
        """See `Task.empty`."""
        shape = (frames, len(self.names))
        return TaskLabels(
            np.zeros(shape, np.float32), np.zeros(shape[:1] if self.together else shape, bool)
        )

    def in_own_order(self, labels: TaskLabels) -> TaskLabels:
        """Columns that the data set lacks are not labelled; those that are no names are left."""
        own, names = self.empty(len(labels)), list(labels.names)
        for i, name in enumerate(self.names):
            if name in names:
                own.values[:, i] = labels.values[:, names.index(name)]
                mask = labels.mask if labels.mask.ndim == 1 else labels.mask[:, names.index(name)]
                own.mask[:, i] = mask
        low, high = self.value_range()
        known = own.values[own.mask]
        if ((known < low) | (known > high)).any():
            raise UserError(
                f"tasks.{self.name}: labels lie between {known.min():g} and {known.max():g}, but"
                f" low is {low:g} and high {high:g}; set them to the range of the data set"
            )
        return own

    def balance_codes(self, labels: TaskLabels) -> np.ndarray:
        """Cell of the histogram of one or two values; all alike with more of them."""
        if len(self.names) > 2:
            return np.zeros(len(labels), np.int64)
        low, high = self.value_range()
        cells = ((labels.values - low) * (HISTOGRAM / (high - low))).astype(np.int64)
        cells = cells.clip(0, HISTOGRAM - 1)
        return np.asarray(cells @ (HISTOGRAM ** np.arange(cells.shape[1])[::-1]), np.int64)

    def amounts(self, labels: TaskLabels) -> np.ndarray:
        """Sums of what lies above and below the middle of the range: folds alike in both have the
        same mean.
        """
        low, high = self.value_range()
        apart = labels.values.astype(np.float64) - (low + high) / 2
        apart = apart * (labels.mask if labels.mask.ndim == 2 else labels.mask[:, None])
        return np.concatenate([apart.clip(min=0).sum(axis=0), -apart.clip(max=0).sum(axis=0)])

    @property
    def width(self) -> int:
        """C, or C K."""
        return len(self.names) * max(self.settings.bins, 1)

    @property
    def score_width(self) -> int:
        """W: the values, then the logits of their bins."""
        return len(self.names) * (1 + self.settings.bins)

    def scores(self, raw: Tensor) -> Tensor:
        """Values (..., C), then what the head says of bins."""
        import torch

        from fusion.tasks.learning.bins import expectation

        if not self.settings.bins:
            return self._scaled(torch.tanh(raw))
        bins = raw.unflatten(-1, (len(self.names), self.settings.bins))
        return torch.cat([self._scaled(expectation(bins, self.settings.bin_values)), raw], dim=-1)

    def fit(self, labels: Iterable[TaskLabels]) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def loss(self, scores: Tensor, targets: TaskTargets, fitted: Mapping[str, Tensor]) -> Tensor:
        """Mean of the loss of each value that has a label, over all its frames at once."""
        import torch

        bins, losses = self._bins(scores), []
        if self.together:
            mask = targets.mask
            said, truth = scores[mask].float(), targets.values[mask]
            chosen = None if bins is None else bins[mask].float()
            for i in range(len(self.names)):
                own = None if chosen is None else chosen[:, i]
                losses.append(self._loss_of(said[:, i], truth[:, i], own))
            return torch.stack(losses).mean()
        for i in range(len(self.names)):
            mask = targets.mask[..., i]
            said, truth = scores[..., i][mask].float(), targets.values[..., i][mask]
            own = None if bins is None else bins[..., i, :][mask].float()
            losses.append(self._loss_of(said, truth, own))
        known = targets.mask.flatten(0, -2).any(dim=0).to(losses[0].dtype)
        return (torch.stack(losses) * known).sum() / known.sum().clamp(min=1)

    def taught(self, teacher: Tensor) -> Tensor:
        """Frames, or values, that are finite; a teacher with bins must say all of them."""
        own = teacher[..., : len(self.names)].isfinite()
        if not self.together:
            return own
        return own.all(dim=-1) & teacher[..., len(self.names) :].isfinite().all(dim=-1)

    def soft_loss(
        self,
        student: Tensor,
        teacher: Tensor,
        taught: Tensor,
        weights: Tensor,
        temperature: float,
    ) -> Tensor:
        """By the bins, KD being the mean over the values.

        Where student and teacher have not as many bins, by the values, with the loss that needs no
        bins, `weights` as weight of a frame and no temperature.
        """
        from fusion.tasks.learning.teaching import divergence, mean_of

        ours, theirs = self._bins(student), self._bins(teacher)
        if self.together and ours is not None and theirs is not None:
            apart = divergence(ours[taught], theirs[taught], temperature)
            return mean_of(weights * apart.mean(dim=-1))
        counts = weights > 0  # weights may not all be 0
        if self.together:
            said = student[..., : len(self.names)][taught][counts].float().unbind(-1)
            truth = teacher[..., : len(self.names)][taught][counts].detach().float().unbind(-1)
        else:
            said = (student[..., : len(self.names)][taught][counts].float(),)
            truth = (teacher[..., : len(self.names)][taught][counts].detach().float(),)
        losses = [
            self._loss_of(x, y, None, weights[counts]) for x, y in zip(said, truth, strict=True)
        ]
        return sum(losses[1:], losses[0]) / len(losses) * mean_of(weights)

    def said(self, teacher: Tensor, like: Tensor) -> Tensor:
        """The values."""
        return teacher[..., : len(self.names)].detach().to(like)

    def _loss_of(
        self,
        said: Tensor,
        truth: Tensor,
        bins: Tensor | None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Loss of one value; both in units of half the range around its middle."""
        from fusion.tasks.learning.concordance import value_loss

        kind = self.settings.loss
        if kind == "bins+ccc" and bins is None:
            kind = "ccc"
        return value_loss(kind, self._unit(said), self._unit(truth), bins, weights)

    def _bins(self, scores: Tensor) -> Tensor | None:
        """(..., C, K) logits of bins; None without, or of another number than its own."""
        count = len(self.names)
        if not self.settings.bins or scores.shape[-1] != self.score_width:
            return None
        return scores[..., count:].unflatten(-1, (count, self.settings.bins))

    def _unit(self, values: Tensor) -> Tensor:
        """Values moved from their range to [-1, 1]."""
        low, high = self.value_range()
        return values if (low, high) == (-1, 1) else (values - low) * (2 / (high - low)) - 1

    def _scaled(self, unit: Tensor) -> Tensor:
        """Values in their range from [-1, 1]."""
        low, high = self.value_range()
        return unit if (low, high) == (-1, 1) else (unit + 1) * ((high - low) / 2) + low
