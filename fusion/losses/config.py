"""How losses of tasks are joined, as a recipe gives it; what is one task's own lies under tasks."""

from dataclasses import dataclass
from typing import Literal, get_args

from features.errors import UserError
from fusion.tasks.registry import Tasks

VaKind = Literal["ccc", "smooth_l1+ccc", "bins+ccc", "mse"]
AuKind = Literal["bce", "zlpr+bce"]
Weighting = Literal["fixed", "uncertainty"]
Teaching = Literal["soft", "labels"]
CHOICES = {"weighting": Weighting, "teaching": Teaching}


@dataclass(frozen=True)
class LossSettings:
    """How the losses of the tasks are joined, and what teachers add.

    Attributes:
        weighting: `fixed`: the tasks' own weights; `uncertainty`: these times weights that are
            learnt.
        teaching: What a stage with teachers learns from them: `soft`, their distributions
            (distillation); `labels`, their decisions where there is no label.
        truth: Share of the truth, against soft teaching, where a frame has a label.
        temperature: Of soft teaching.
    """

    weighting: Weighting = "fixed"
    teaching: Teaching = "soft"
    truth: float = 0.6
    temperature: float = 1.5

    def check(self) -> None:
        """Raises UserError, naming the setting, for one that is no choice or out of range."""
        for name, kinds in CHOICES.items():
            known = get_args(kinds)
            self._require(name, getattr(self, name) in known, " or ".join(known))
        self._require("truth", 0 <= self.truth <= 1, "from 0 to 1")
        self._require("temperature", 0 < self.temperature < float("inf"), "above 0")

    def _require(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise UserError(f"loss.{name} {getattr(self, name)} must be {rule}")


def check_loss(loss: LossSettings, tasks: Tasks) -> None:
    """Raises UserError, naming the setting, for a loss that is none."""
    loss.check()
    if not any(task.weight for task in tasks.values()):
        names = ", ".join(f"tasks.{name}.weight" for name in tasks)
        raise UserError(f"{names} are all 0, so nothing is learnt; raise one")
