"""What is learnt how eagerly, as a recipe gives it."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from features.errors import UserError
from fusion.model.settings import ModelSettings

VaKind = Literal["ccc", "smooth_l1+ccc", "bins+ccc", "mse"]
AuKind = Literal["bce", "zlpr+bce"]
Weighting = Literal["fixed", "uncertainty"]
Teaching = Literal["soft", "labels"]
CHOICES = {"va_kind": VaKind, "au_kind": AuKind, "weighting": Weighting, "teaching": Teaching}


@dataclass(frozen=True)
class LossSettings:
    """What is learnt how eagerly.

    Attributes:
        va: Weight of the VA task in training; 0 leaves it out.
        expr: Weight of the EXPR task.
        au: Weight of the AU task.
        balance: How far rare expressions are weighted up: their weight is the inverse of their
            frequency in the training labels to this power. 0: not at all; 1: all classes count
            the same, however rare; .5, the square root, keeps a class with a handful of frames
            from drowning the rest.
        au_balance: Likewise for units: 'on' weighs (frames off / frames on) to this power, at most
            50. With 1 a unit is said to be on where that is likelier than on the average frame,
            which is what F1 wants of rare units; with 0 hardly ever.
        label_smoothing: Share of each expression label that is spread over all classes.
        va_kind: `ccc`: 1 - CCC; `smooth_l1+ccc`: SmoothL1 added to it; `bins+ccc`: cross-entropy
            over bins added to it, for a model with `model.va_bins`; `mse`: squared error.
        au_kind: `bce`: binary cross-entropy; `zlpr+bce`: ZLPR added to it.
        weighting: `fixed`: the weights above; `uncertainty`: these times weights that are learnt.
        teaching: What a stage with teachers learns from them: `soft`, their distributions
            (distillation); `labels`, their decisions where there is no label.
        truth: Share of the truth, against soft teaching, where a frame has a label.
        temperature: Of soft teaching.
        compound: Weight of compound expressions, for a model with `model.compound`.
        compound_share: Share of compound frames among those that are learnt, epoch by epoch: each
            number of epochs with its share, the last one for the rest.
    """

    va: float = 1.0
    expr: float = 1.0
    au: float = 1.0
    balance: float = 0.5
    au_balance: float = 1.0
    label_smoothing: float = 0.1
    va_kind: VaKind = "ccc"
    au_kind: AuKind = "bce"
    weighting: Weighting = "fixed"
    teaching: Teaching = "soft"
    truth: float = 0.6
    temperature: float = 1.5
    compound: float = 0.0
    compound_share: list[tuple[int, float]] = field(
        default_factory=lambda: [(5, 0.0), (5, 0.2), (3, 0.4), (3, 1.0)]
    )

    def check(self) -> None:
        """Raises UserError, naming the setting, for one that is no choice or out of range."""
        for name, kinds in CHOICES.items():
            known = get_args(kinds)
            self._require(name, getattr(self, name) in known, " or ".join(known))
        for name in ("va", "expr", "au", "balance", "au_balance"):
            self._require(name, 0 <= getattr(self, name) < float("inf"), "at least 0")
        self._require("label_smoothing", 0 <= self.label_smoothing <= 1, "from 0 to 1")
        self._require("truth", 0 <= self.truth <= 1, "from 0 to 1")
        self._require("temperature", 0 < self.temperature < float("inf"), "above 0")
        self._require("compound", 0 <= self.compound < float("inf"), "at least 0")
        shares = self.compound_share
        fine = all(epochs >= 1 and 0 <= share <= 1 for epochs, share in shares)
        rule = "one or more pairs of epochs, at least 1, and a share from 0 to 1"
        self._require("compound_share", bool(shares) and fine, rule)

    def _require(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise UserError(f"loss.{name} {getattr(self, name)} must be {rule}")


def check_loss(loss: LossSettings, model: ModelSettings) -> None:
    """Raises UserError, naming the setting, for a loss that is none or none for this model."""
    loss.check()
    if not any((loss.va, loss.expr, loss.au, loss.compound)):
        raise UserError("loss.va, loss.expr, loss.au are all 0, so nothing is learnt; raise one")
    if loss.compound and not model.compound:
        raise UserError("loss.compound needs a model with compound expressions: model.compound")
    if loss.va_kind == "bins+ccc":
        require_bins(model.va_bins)


def require_bins(bins: int) -> None:
    """Raises UserError for fewer than two bins, of which there is nothing to learn."""
    if bins < 2:
        raise UserError("loss.va_kind bins+ccc needs model.va_bins of at least 2")
