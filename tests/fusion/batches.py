"""Batches and small models made by hand, for the tests of model, losses and training."""

import torch

from fusion.data.batch import Batch
from fusion.model.settings import ModelSettings
from tests.fusion.classic import classic_targets, joined

__all__ = ["SMALL", "STREAMS", "batch", "joined", "targets"]

STREAMS = {"visual": 6, "audio": 4}
SMALL = ModelSettings(
    dim=16,
    stream_dim=8,
    tcn_levels=2,
    dropout=0.1,
    temporal={"name": "transformer", "layers": 1, "heads": 2},
)


def targets(windows, frames):
    """Random labels, all of them valid."""
    return classic_targets(
        va=torch.rand(windows, frames, 2) * 2 - 1,
        va_mask=torch.ones(windows, frames, dtype=torch.bool),
        expr=torch.randint(8, (windows, frames)),
        expr_mask=torch.ones(windows, frames, dtype=torch.bool),
        au=torch.randint(2, (windows, frames, 12)).float(),
        au_mask=torch.ones(windows, frames, 12, dtype=torch.bool),
    )


def batch(windows=3, frames=20, streams=STREAMS):
    """Random windows of as many clips; every row is valid."""
    every = torch.ones(windows, frames, dtype=torch.bool)
    return Batch(
        streams={name: torch.randn(windows, frames, size) for name, size in streams.items()},
        valid={name: every.clone() for name in streams},
        frames=every.clone(),
        targets=targets(windows, frames),
        clip=torch.arange(windows),
        start=torch.zeros(windows, dtype=torch.int64),
    )
