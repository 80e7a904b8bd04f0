"""Size and shape of the model, as a recipe gives them."""

from dataclasses import dataclass
from typing import Literal

from features.cli import UserError


@dataclass(frozen=True)
class ModelSettings:
    """Size and shape of the model.

    Attributes:
        dim: Width of the fused frames, a multiple of `heads`.
        stream_dim: Width of each stream before fusion.
        tcn_levels: Levels of each stream's TCN, with dilations 1, 2, 4, ...; 0 for none.
        kernel: Taps of its convolutions, odd.
        layers: Transformer layers over time.
        heads: Attention heads.
        stride: Frames whose mean is one step of the transformer, whose answer is added to each of
            them. 2 trains about 1.6 times as fast as 1, and context moves slowly.
        positions: What the transformer knows of time besides what the TCN tells it: `none`, or
            `sinusoidal` from the window's start, which is an arbitrary instant of the clip.
        dropout: Dropout everywhere.
        stream_dropout: Chance that a stream of a training window is hidden (never all of them),
            so that the model learns to do without.
    """

    dim: int = 128
    stream_dim: int = 64
    tcn_levels: int = 3
    kernel: int = 5
    layers: int = 2
    heads: int = 4
    stride: int = 2
    positions: Literal["none", "sinusoidal"] = "none"
    dropout: float = 0.2
    stream_dropout: float = 0.2


def check_settings(settings: ModelSettings, streams: dict[str, int]) -> None:
    """Raises UserError, naming the setting, for settings that make no model."""
    if not streams:
        raise UserError("the model has no stream to look at; name at least one under data.streams")
    for name in ("dim", "stream_dim", "kernel", "heads", "stride"):
        _require(name, getattr(settings, name), getattr(settings, name) >= 1, "at least 1")
    for name in ("tcn_levels", "layers"):
        _require(name, getattr(settings, name), getattr(settings, name) >= 0, "at least 0")
    for name in ("dropout", "stream_dropout"):
        _require(name, getattr(settings, name), 0 <= getattr(settings, name) <= 1, "from 0 to 1")
    heads = f"a multiple of model.heads ({settings.heads})"
    _require("dim", settings.dim, settings.dim % settings.heads == 0, heads)
    _require("kernel", settings.kernel, settings.kernel % 2 == 1, "odd")


def _require(name: str, value: float, fine: bool, rule: str) -> None:
    if not fine:
        raise UserError(f"model.{name} {value} must be {rule}")
