"""Size and shape of the model, as a recipe gives them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from features.errors import UserError
from fusion.tasks.labels import BinValues

Fusion = Literal["concat", "gated", "cross-attention", "leader-follower", "top-down"]
Temporal = Literal["transformer", "gru", "lstm", "tcn", "causal-tcn", "pyramid", "none"]
Positions = Literal["none", "sinusoidal", "relative"]
Head = Literal["parallel", "streaming", "scales"]
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
            `leader-follower`, attention between the streams of a frame beside the leader (LFAN);
            `top-down`, a path from the coarsest of `levels` down to the finest (FPN).
        leader: Leading stream of cross-attention and leader-follower; empty for the first stream.
        reach: Frames around the present one that cross-attention looks at.
        levels: Streams that are the levels of one feature hierarchy, fine to coarse, for the
            top-down path; the other streams enter it at its top.
        temporal: Context over the window: `transformer`, `gru` or `lstm` (both ways), `tcn`,
            `causal-tcn`, with which the whole model looks at no later frame, `pyramid`, scales of
            time with a path from the slowest down to the frames, or `none`.
        layers: Layers of the temporal part; of a TCN, levels with dilations 1, 2, 4, ...; of a
            pyramid, its scales, each half as fast as the one before.
        heads: Attention heads.
        stride: Frames whose mean is one step of the temporal part, whose answer is added to each
            of them. 2 trains about 1.6 times as fast as 1, and context moves slowly.
        positions: What the transformer knows of time besides what the TCN tells it: `none`,
            `sinusoidal` from the window's start, which is an arbitrary instant of the clip, or
            `relative`, a learned bias per head and distance.
        dropout: Dropout everywhere.
        stream_dropout: Chance that a stream of a training window is hidden (never all of them),
            so that the model learns to do without.
        head: Heads of the tasks: `parallel`, side by side; `streaming`, each fed by the one
            before (PASN); `scales`, each at its own scale of a temporal pyramid.
        order: Order of the streaming heads, each task once.
        mutual: Whether EXPR and VA also correct the units of streaming heads, and VA enters EXPR.
        scales: Scale of the temporal pyramid that each task's head reads, from 0, the fastest.
        va_bins: Bins of valence, and of arousal, over [-1, 1] whose expectation is the value; 0
            for heads that say the value itself.
        bin_values: What a bin stands for: its `centres`, or `ends`, which is linspace(-1, 1, K).
        compound: Whether there is a head of six sigmoids for compound expressions.
    """

    dim: int = 128
    stream_dim: int = 64
    tcn_levels: int = 3
    kernel: int = 5
    fusion: Fusion = "concat"
    leader: str = ""
    reach: int = 30
    levels: tuple[str, ...] = ()
    temporal: Temporal = "transformer"
    layers: int = 2
    heads: int = 4
    stride: int = 2
    positions: Positions = "none"
    dropout: float = 0.2
    stream_dropout: float = 0.2
    head: Head = "parallel"
    order: tuple[str, ...] = ("au", "expr", "va")
    mutual: bool = False
    scales: dict[str, int] = field(default_factory=lambda: {"au": 0, "expr": 1, "va": 2})
    va_bins: int = 0
    bin_values: BinValues = "centres"
    compound: bool = False

    @property
    def causal(self) -> bool:
        """Whether no score may depend on a later frame."""
        return self.temporal == "causal-tcn"


def check_settings(
    settings: ModelSettings, streams: dict[str, int], feeds: Sequence[str] = ()
) -> None:
    """Raises UserError, naming the setting, for settings that make no model."""
    if not streams and not feeds:
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
    _check_heads(settings)


def _check_fusion(settings: ModelSettings, streams: dict[str, int]) -> None:
    _require_choice("fusion", settings.fusion, get_args(Fusion))
    if settings.leader:
        led = settings.fusion in LED
        _require("leader", settings.leader, led, f"empty with model.fusion {settings.fusion}")
        _require_choice("leader", settings.leader, tuple(streams))
    _check_levels(settings, streams)


def _check_levels(settings: ModelSettings, streams: dict[str, int]) -> None:
    levels, kind = list(settings.levels), f"with model.fusion {settings.fusion}"
    if settings.fusion != "top-down":
        _require("levels", levels, not levels, f"empty {kind}")
        return
    _require("levels", levels, len(levels) > 1, f"at least two streams, fine to coarse, {kind}")
    _require("levels", levels, len(set(levels)) == len(levels), "different streams")
    missing = [name for name in levels if name not in streams]
    if missing:
        encoders = ", ".join(dict.fromkeys(name.split(".")[0] for name in missing))
        raise UserError(
            f"model.levels: no {', '.join(missing)} among the streams; extract with"
            f" --encoders {encoders},... and name all levels under data.streams"
        )


def _check_temporal(settings: ModelSettings) -> None:
    kind = f"with model.temporal {settings.temporal}"
    _require_choice("temporal", settings.temporal, get_args(Temporal))
    _require_choice("positions", settings.positions, get_args(Positions))
    if settings.temporal != "transformer":
        _require("positions", settings.positions, settings.positions == "none", f"none {kind}")
    if settings.positions == "relative":
        _require("positions", "relative", settings.layers > 0, "none with model.layers 0")
    if settings.temporal in ("gru", "lstm", "tcn", "causal-tcn", "pyramid"):
        _require("layers", settings.layers, settings.layers > 0, f"at least 1 {kind}")
    if settings.temporal in ("gru", "lstm"):
        _require("dim", settings.dim, settings.dim % 2 == 0, f"even {kind}")


def _check_heads(settings: ModelSettings) -> None:
    kind = f"with model.head {settings.head}"
    _require_choice("head", settings.head, get_args(Head))
    _require_choice("bin_values", settings.bin_values, get_args(BinValues))
    once_each = sorted(settings.order) == sorted(ModelSettings.order)
    _require("order", list(settings.order), once_each, "au, expr and va, each once, in any order")
    bins = settings.va_bins
    _require("va_bins", bins, bins == 0 or bins > 1, "0, or at least 2")
    if settings.head == "streaming":
        _require("va_bins", bins, bins == 0, f"0 {kind}")
        _require("compound", settings.compound, not settings.compound, f"false {kind}")
    if settings.head == "scales":
        _check_scales(settings)
    elif settings.temporal == "pyramid":
        _require("head", settings.head, False, "scales with model.temporal pyramid")


def _check_scales(settings: ModelSettings) -> None:
    pyramid = settings.temporal == "pyramid"
    _require("temporal", settings.temporal, pyramid, "pyramid with model.head scales")
    scales, last = settings.scales, settings.layers - 1
    every = set(scales) == set(ModelSettings.order)
    _require("scales", scales, every, "a scale each for au, expr and va")
    within = all(0 <= scale <= last for scale in scales.values())
    _require("scales", scales, within, f"from 0 to {last}, with model.layers {settings.layers}")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(name, value, value in choices, f"one of {', '.join(choices)}")


def _require(name: str, value: object, fine: bool, rule: str) -> None:
    if not fine:
        raise UserError(f"model.{name} {value} must be {rule}")
