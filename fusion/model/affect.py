"""AffectModel: streams > StreamEncoder each > fusion > TemporalTransformer > heads > Scores.

Each of the four parts is a module of its own with a shape as its contract; another system is
another part in its place. Letters: B windows, T frames, D features, S streams, C channels.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from features.cli import UserError
from fusion.batch import Batch, Scores
from fusion.model.heads import ParallelHeads
from fusion.model.streams import ConcatFusion, StreamEncoder, drop_streams
from fusion.model.temporal import TemporalTransformer


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


class AffectModel(nn.Module):
    """Valence-arousal, expression and action units of every frame of a window.

    Args:
        settings: Size and shape.
        streams: Name to number of features of each stream the model takes.

    Raises:
        UserError: For settings that make no model.
    """

    def __init__(self, settings: ModelSettings, streams: dict[str, int]) -> None:
        super().__init__()
        check_settings(settings, streams)
        self.settings = settings
        self.streams = dict(streams)
        self.encoders = nn.ModuleList(_encoder(settings, size) for size in streams.values())
        self.fusion = ConcatFusion(len(streams), settings.stream_dim, settings.dim)
        self.temporal = TemporalTransformer(
            settings.dim,
            layers=settings.layers,
            heads=settings.heads,
            stride=settings.stride,
            dropout=settings.dropout,
            sinusoidal=settings.positions == "sinusoidal",
        )
        self.heads = ParallelHeads(settings.dim)

    def forward(self, batch: Batch) -> Scores:
        """Scores of every frame; those of padding mean nothing.

        A stream that the batch lacks counts as missing everywhere.
        """
        valid = torch.stack([_valid(batch, name) for name in self.streams], dim=-1)  # (B, T, S)
        if self.training:
            valid = drop_streams(valid, self.settings.stream_dropout)
        encoded = [
            encoder(_values(batch, name, size), valid[..., index])
            for index, (encoder, (name, size)) in enumerate(
                zip(self.encoders, self.streams.items(), strict=True)
            )
        ]
        fused = self.fusion(torch.stack(encoded, dim=2), valid)
        return self.heads(self.temporal(fused, batch.frames))


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


def _encoder(settings: ModelSettings, features: int) -> StreamEncoder:
    return StreamEncoder(
        features,
        settings.stream_dim,
        levels=settings.tcn_levels,
        kernel=settings.kernel,
        dropout=settings.dropout,
    )


def _valid(batch: Batch, name: str) -> Tensor:
    """(B, T) bool: frames at which the stream has something to say."""
    if name not in batch.streams:
        return torch.zeros_like(batch.frames)
    return batch.valid[name] & batch.frames


def _values(batch: Batch, name: str, size: int) -> Tensor:
    """(B, T, D) values; zeros for an absent stream, so that every parameter takes part (DDP)."""
    if name not in batch.streams:
        return torch.zeros(*batch.frames.shape, size, device=batch.frames.device)
    values = batch.streams[name]
    if values.shape[-1] != size:
        raise UserError(
            f"stream '{name}' has {values.shape[-1]} features, the model takes {size};"
            " extract it with the encoder that the model was trained on"
        )
    return values
