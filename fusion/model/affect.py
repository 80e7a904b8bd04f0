"""AffectModel: streams > StreamEncoder each > fusion (+ feeds) > temporal part > heads > Scores.

Each part is a module of its own with a shape as its contract; another system is another part in
its place. Feeds are features that the model of an earlier stage makes of the same frames.
Letters: B windows, T frames, D features, S streams, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from features.errors import UserError
from fusion.data.batch import Batch, Scores
from fusion.model.feeds import SummedFeeds
from fusion.model.heads import make_heads
from fusion.model.settings import ModelSettings, check_settings
from fusion.model.streams import StreamEncoder, drop_streams
from fusion.tasks.registry import Tasks, default_tasks


class AffectModel(nn.Module):
    """What is asked of every frame of a window, by streams of features.

    Args:
        settings: Size and shape.
        streams: Name to number of features of each stream the model takes; none if it lives on
            feeds alone.
        feeds: Stages whose features the model takes, each `dim` wide.
        tasks: What it says of each frame; None: valence-arousal, expressions and action units.

    Raises:
        UserError: For settings that make no model.
    """

    def __init__(
        self,
        settings: ModelSettings,
        streams: dict[str, int],
        feeds: Sequence[str] = (),
        tasks: Tasks | None = None,
    ) -> None:
        super().__init__()
        tasks = default_tasks() if tasks is None else tasks
        check_settings(settings, streams, feeds, tasks)
        self.settings, self.tasks = settings, dict(tasks)
        self.streams = dict(streams)
        fusion, context = settings.fusion_block, settings.temporal_block
        self.static = fusion.static(list(streams)) if streams else []
        levels = [settings.tcn_levels] * len(streams) + [0] * len(self.static)
        self.encoders = nn.ModuleList(
            _encoder(settings, streams[name], level, context.causal)
            for name, level in zip(self._encoded, levels, strict=True)
        )
        self.fusion = fusion.build(settings.fusion_shape(list(streams))) if streams else None
        self.feeds = SummedFeeds(feeds, settings.dim, settings.dropout, beside=bool(streams))
        self.temporal = context.build(settings.temporal_shape)
        self.heads = make_heads(settings, tasks)

    def forward(self, batch: Batch) -> Scores:
        """Scores of every frame; those of padding mean nothing.

        A stream that the batch lacks counts as missing everywhere.
        """
        return self.heads(self.features(batch))

    def features(self, batch: Batch) -> Tensor:
        """What the heads read: (B, T, dim), or (B, T, scales, dim) of a temporal pyramid."""
        fused = None if self.fusion is None else self._fused(self.fusion, batch)
        return self.temporal(self.feeds(fused, batch.feeds), batch.frames)

    def _fused(self, fusion: nn.Module, batch: Batch) -> Tensor:
        """The streams as one, (B, T, dim)."""
        valid = torch.stack([_valid(batch, name) for name in self.streams], dim=-1)  # (B, T, S)
        if self.training:
            valid = drop_streams(valid, self.settings.stream_dropout)
        valid = valid[..., [list(self.streams).index(name) for name in self._encoded]]
        encoded = [
            encoder(_values(batch, name, self.streams[name]), valid[..., index])
            for index, (encoder, name) in enumerate(zip(self.encoders, self._encoded, strict=True))
        ]
        fused: Tensor = fusion(torch.stack(encoded, dim=2), valid)
        return fused

    @property
    def _encoded(self) -> list[str]:
        """Streams in the order of their encoders; what the fusion wants static comes last."""
        return [*self.streams, *self.static]


def _encoder(settings: ModelSettings, features: int, levels: int, causal: bool) -> StreamEncoder:
    return StreamEncoder(
        features,
        settings.stream_dim,
        levels=levels,
        kernel=settings.kernel,
        dropout=settings.dropout,
        causal=causal,
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
