"""Optimizer and schedule: parameters > groups with and without decay > steps of a learning rate."""

import difflib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from features.errors import UserError

if TYPE_CHECKING:  # loads torch
    from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

Schedule = Literal[
    "warmup_cosine",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "cosine_with_min_lr",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "warmup_stable_decay",
]
"""Ours, then those of transformers' `get_scheduler`, whose first step is at a rate of 0."""


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer, and its schedule counted in steps.

    Attributes:
        name: A class of torch.optim, in any case: adamw, adam, sgd, nadam, ...
        lr: Highest learning rate.
        weight_decay: Decay of matrices; biases, norms and the vectors for missing frames have none.
        settings: Further settings of that class, e.g. `{momentum: 0.9, nesterov: true}`.
        schedule: `warmup_cosine`, or one of transformers' get_scheduler.
        schedule_settings: Settings of the latter, e.g. `{num_cycles: 3}`.
        warmup: Share of all steps over which the learning rate rises.
        clip: Greatest norm of the gradient, to which it is scaled down; null: any.
        accumulate: Batches whose gradients are summed up for a step.
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    settings: dict[str, Any] = field(default_factory=dict)
    schedule: Schedule = "warmup_cosine"
    schedule_settings: dict[str, Any] = field(default_factory=dict)
    warmup: float = 0.1
    clip: float | None = 1.0
    accumulate: int = 1

    def check(self) -> None:
        """Raises UserError, naming the setting, for one that is out of range or unknown."""
        rules = {
            f"optimizer.lr must be above 0: {self.lr}": 0 < self.lr < math.inf,
            f"optimizer.weight_decay must be at least 0: {self.weight_decay}": (
                0 <= self.weight_decay < math.inf
            ),
            f"optimizer.warmup must lie between 0 and 1: {self.warmup}": 0 <= self.warmup <= 1,
            f"optimizer.clip must be above 0: {self.clip}; null clips nothing": (
                self.clip is None or 0 < self.clip < math.inf
            ),
            f"optimizer.accumulate must be at least 1: {self.accumulate}": self.accumulate >= 1,
        }
        for complaint, fine in rules.items():
            if not fine:
                raise UserError(complaint)
        make = (self.name, self.settings, self.schedule, self.schedule_settings)
        if make != ("adamw", {}, "warmup_cosine", {}):  # which needs no torch to be known as fine
            _try_out(self)


def optimizer_and_schedule(
    model: "nn.Module", settings: OptimizerSettings, steps: int
) -> "OptimizerLRSchedulerConfig":
    """What Lightning takes from `configure_optimizers`.

    Args:
        model: Whose parameters.
        settings: How to step.
        steps: Of the whole run.

    Raises:
        UserError: For an optimizer that there is not, or settings that it does not take.
    """
    optimizer = make_optimizer(model, settings)
    schedule = make_schedule(optimizer, settings, steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_optimizer(model: "nn.Module", settings: OptimizerSettings) -> "Optimizer":
    """The optimizer of a model's parameters; UserError if it cannot be."""
    kind: Any = _class_of(settings.name)
    known = inspect.signature(kind).parameters
    where = "optimizer.settings"
    for key in settings.settings:
        if key in ("params", "lr", "weight_decay"):
            raise UserError(f"{where}: give {key} as optimizer.{key}")
        if key not in known:
            raise UserError(f"{where}: {kind.__name__} has no {key}{_nearest(key, known)}")
    if settings.weight_decay and "weight_decay" not in known:
        raise UserError(f"optimizer.weight_decay must be 0: {kind.__name__} has none")
    given: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings.settings.items()
    }
    try:
        return kind(parameter_groups(model, settings.weight_decay), lr=settings.lr, **given)
    except (TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"optimizer: {kind.__name__} cannot be used like this: {said}") from error


def make_schedule(optimizer: "Optimizer", settings: OptimizerSettings, steps: int) -> "LRScheduler":
    """The learning rate over a run; UserError for settings that its schedule does not take."""
    warmup = round(settings.warmup * steps)
    if settings.schedule == "warmup_cosine":
        from torch.optim.lr_scheduler import LambdaLR

        if settings.schedule_settings:
            raise UserError("optimizer.schedule_settings: warmup_cosine has none; take them out")
        return LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, steps))
    from transformers.optimization import get_scheduler  # seconds, and not for the default

    own = dict(settings.schedule_settings)
    try:
        return get_scheduler(settings.schedule, optimizer, warmup, steps, own)
    except (TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"optimizer.schedule {settings.schedule}: {said}") from error


def parameter_groups(model: "nn.Module", weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels with weight decay; biases, norms and single vectors without."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor of the learning rate: up to 1 over `warmup` steps, then a half cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def _class_of(name: str) -> "type[Optimizer]":
    """The class of torch.optim that a name stands for."""
    from torch import optim

    known = {
        key.lower(): kind
        for key, kind in vars(optim).items()
        if isinstance(kind, type)
        and issubclass(kind, optim.Optimizer)
        and kind is not optim.Optimizer
    }
    if name.lower() not in known:
        near = _nearest(name.lower(), known) or f"; known are {', '.join(sorted(known))}"
        raise UserError(f"optimizer.name '{name}' is no optimizer of torch.optim{near}")
    return known[name.lower()]


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _try_out(settings: OptimizerSettings) -> None:
    """Makes the optimizer and schedule of a small model, and complains as they do."""
    from torch import nn

    make_schedule(make_optimizer(nn.Linear(2, 2), settings), settings, 100)
