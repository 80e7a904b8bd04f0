"""AdamW and its schedule: parameters > groups with and without decay > steps of a learning rate."""

import math
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from features.errors import UserError


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW with a linear warm-up and a cosine down to zero, both counted in steps.

    Attributes:
        lr: Highest learning rate.
        weight_decay: Decay of matrices; biases, norms and the vectors for missing frames have none.
        warmup: Share of all steps over which the learning rate rises.
    """

    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1

    def check(self) -> None:
        """Raises UserError, naming the setting, for one that is out of range."""
        rules = {
            f"optimizer.lr must be above 0: {self.lr}": 0 < self.lr < math.inf,
            f"optimizer.weight_decay must be at least 0: {self.weight_decay}": (
                0 <= self.weight_decay < math.inf
            ),
            f"optimizer.warmup must lie between 0 and 1: {self.warmup}": 0 <= self.warmup <= 1,
        }
        for complaint, fine in rules.items():
            if not fine:
                raise UserError(complaint)


def scheduled_adamw(
    model: nn.Module, settings: OptimizerSettings, steps: int
) -> OptimizerLRSchedulerConfig:
    """What Lightning takes from `configure_optimizers`.

    Args:
        model: Whose parameters.
        settings: How to step.
        steps: Of the whole run.
    """
    groups = parameter_groups(model, settings.weight_decay)
    optimizer: Optimizer = AdamW(groups, lr=settings.lr)
    warmup = round(settings.warmup * steps)
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup, steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
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
