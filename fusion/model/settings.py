"""Size and shape of the model, as a recipe gives them."""

from dataclasses import dataclass
from typing import Literal, get_args

from features.cli import UserError

Fusion = Literal["concat", "gated", "cross-attention", "leader-follower"]
Temporal = Literal["transformer", "gru", "lstm", "tcn", "causal-tcn", "none"]
Positions = Literal["none", "sinusoidal", "relative"]
LED = ("cross-attention", "leader-follower")
"""Fusions with a leading stream."""


@dataclass(frozen=True)
class ModelSettings:
    """Size and shape of the model.

    Attributes:
        dim: Width of the fused frames, a multiple of `heads`.
        stream_dim: Width of each stream before fusion.
        tcn_levels: Levels of each stream's TCN, with dilations 1, 2, 4, ...; 0 for none.
        kernel: Taps of all convolutions, odd.
        fusion: From several streams to one: `concat`; `gated`, a mean with weights of its own at
            each frame; `cross-attention`, where a frame of the leader asks all streams around it;
            `leader-follower`, attention between the streams of a frame beside the leader (LFAN).
        leader: Leading stream of the latter two; empty for the first stream.
        reach: Frames around the present one that cross-attention looks at.
        temporal: Context over the window: `transformer`, `gru` or `lstm` (both ways), `tcn`,
            `causal-tcn`, with which the whole model looks at no later frame, or `none`.
        layers: Layers of the temporal part; of a TCN, levels with dilations 1, 2, 4, ...
        heads: Attention heads.
        stride: Frames whose mean is one step of the temporal part, whose answer is added to each
            of them. 2 trains about 1.6 times as fast as 1, and context moves slowly.
        positions: What the transformer knows of time besides what the TCN tells it: `none`,
            `sinusoidal` from the window's start, which is an arbitrary instant of the clip, or
            `relative`, a learned bias per head and distance.
        dropout: Dropout everywhere.
        stream_dropout: Chance that a stream of a training window is hidden (never all of them),
            so that the model learns to do without.
        head: Heads of the tasks: `parallel`, side by side, or `streaming`, each fed by the one
            before (PASN).
        order: Order of the streaming heads, each task once.
        mutual: Whether EXPR and VA also correct the units of streaming heads, and VA enters EXPR.
    """

    dim: int = 128
    stream_dim: int = 64
    tcn_levels: int = 3
    kernel: int = 5
    fusion: Fusion = "concat"
    leader: str = ""
    reach: int = 30
    temporal: Temporal = "transformer"
    layers: int = 2
    heads: int = 4
    stride: int = 2
    positions: Positions = "none"
    dropout: float = 0.2
    stream_dropout: float = 0.2
    head: Literal["parallel", "streaming"] = "parallel"
    order: tuple[str, ...] = ("au", "expr", "va")
    mutual: bool = False

    @property
    def causal(self) -> bool:
        """Whether no score may depend on a later frame."""
        return self.temporal == "causal-tcn"


def check_settings(settings: ModelSettings, streams: dict[str, int]) -> None:
    """Raises UserError, naming the setting, for settings that make no model."""
    if not streams:
        raise UserError("the model has no stream to look at; name at least one under data.streams")
    for name in ("dim", "stream_dim", "kernel", "heads", "stride", "reach"):
        _require(name, getattr(settings, name), getattr(settings, name) >= 1, "at least 1")
    for name in ("tcn_levels", "layers"):
        _require(name, getattr(settings, name), getattr(settings, name) >= 0, "at least 0")
    for name in ("dropout", "stream_dropout"):
        _require(name, getattr(settings, name), 0 <= getattr(settings, name) <= 1, "from 0 to 1")
    heads = f"a multiple of model.heads ({settings.heads})"
    _require("dim", settings.dim, settings.dim % settings.heads == 0, heads)
    _require("kernel", settings.kernel, settings.kernel % 2 == 1, "odd")
    _check_fusion(settings, streams)
    _check_temporal(settings)
    _require_choice("head", settings.head, ("parallel", "streaming"))
    once_each = sorted(settings.order) == sorted(ModelSettings.order)
    _require("order", list(settings.order), once_each, "au, expr and va, each once, in any order")


def _check_fusion(settings: ModelSettings, streams: dict[str, int]) -> None:
    _require_choice("fusion", settings.fusion, get_args(Fusion))
    if settings.leader:
        led = settings.fusion in LED
        _require("leader", settings.leader, led, f"empty with model.fusion {settings.fusion}")
        _require_choice("leader", settings.leader, tuple(streams))


def _check_temporal(settings: ModelSettings) -> None:
    kind = f"with model.temporal {settings.temporal}"
    _require_choice("temporal", settings.temporal, get_args(Temporal))
    _require_choice("positions", settings.positions, get_args(Positions))
    if settings.temporal != "transformer":
        _require("positions", settings.positions, settings.positions == "none", f"none {kind}")
    if settings.positions == "relative":
        _require("positions", "relative", settings.layers > 0, "none with model.layers 0")
    if settings.temporal in ("gru", "lstm", "tcn", "causal-tcn"):
        _require("layers", settings.layers, settings.layers > 0, f"at least 1 {kind}")
    if settings.temporal in ("gru", "lstm"):
        _require("dim", settings.dim, settings.dim % 2 == 0, f"even {kind}")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(name, value, value in choices, f"one of {', '.join(choices)}")


def _require(name: str, value: object, fine: bool, rule: str) -> None:
    if not fine:
        raise UserError(f"model.{name} {value} must be {rule}")
