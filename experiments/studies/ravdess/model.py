"""The project's own fusion model on clips: parts of a clip > AffectModel > mean of its expression
logits over the clip > emotion.

AffectModel, its loss, its groups of parameters and its schedule are those of `fusion`; what is new
is thin: the mean over a clip's frames. EXPR's eight outputs serve RAVDESS's eight emotions, calm in
the place of Other; valence-arousal and action units have no label here and no weight.

Letters: N clips, B clips of a batch, T parts of a clip, D features, K emotions, C components.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from experiments.studies.ravdess.streams import PARTS, UNITS, WHOLE, Rows
from fusion.data.batch import Batch, Targets
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.streams.normalization import Normaliser
from fusion.tasks.learning.interface import TaskTargets
from fusion.training.optimizer import OptimizerSettings


@dataclass(frozen=True)
class ClipSettings:
    """How a clip model is built and trained.

    Attributes:
        streams: Names of the streams.
        model: Size and shape of AffectModel.
        optimizer: AdamW and its schedule.
        components: C, to which wider streams are reduced.
        epochs: Passes over the training clips.
        batch: B.
        mixup: Parameter of the beta distribution clips are mixed by; 0: not mixed.
        noise: Deviation of the noise added to the streams in training.
        smoothing: Share of each label that is spread over all emotions.
    """

    streams: tuple[str, ...]
    model: ModelSettings = field(
        default_factory=lambda: ModelSettings(
            dim=64,
            stream_dim=48,
            tcn_levels=0,
            temporal={"name": "transformer", "layers": 1, "stride": 1},
            dropout=0.4,
        )
    )
    optimizer: OptimizerSettings = field(
        default_factory=lambda: OptimizerSettings(lr=3e-3, weight_decay=0.1)
    )
    components: int = 96
    epochs: int = 30
    batch: int = 192
    mixup: float = 1.0
    noise: float = 0.6
    smoothing: float = 0.1


@dataclass(frozen=True)
class Projection:
    """A stream's mean and deviation, and its first principal components, each of unit deviation.

    Attributes:
        normaliser: Of the training parts.
        axes: (D, C), or None for a stream that is narrow enough.
    """

    normaliser: Normaliser
    axes: Tensor | None

    def apply(self, x: np.ndarray, valid: Tensor) -> Tensor:
        """(N, T, D) to (N, T, C); zeros where not valid (N, T)."""
        values = self.normaliser.apply(torch.tensor(x), valid)
        return values if self.axes is None else values @ self.axes


class ClipModel(nn.Module):
    """AffectModel whose expression logits are averaged over a clip."""

    def __init__(self, settings: ModelSettings, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.affect = AffectModel(settings, dict(dims))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, K)."""
        return self.affect(batch)["expr"].mean(dim=1)

    def features(self, batch: Batch) -> Tensor:
        """(B, T, dim): frames as the heads see them."""
        kept: list[Tensor] = []
        hook = self.affect.temporal.register_forward_hook(lambda _m, _i, out: kept.append(out))
        self.affect(batch)
        hook.remove()
        return kept[0]


@dataclass
class Trained:
    """A trained model with what its streams went through."""

    model: ClipModel
    projections: dict[str, Projection]

    @torch.inference_mode()
    def logits(self, rows: Rows) -> np.ndarray:
        """Log-probabilities (N, K)."""
        out = self.model.eval()(make_batch(self.projections, rows))
        return np.asarray(out.log_softmax(dim=-1).numpy())

    @torch.inference_mode()
    def features(self, rows: Rows) -> np.ndarray:
        """(N, T, dim)."""
        return np.asarray(self.model.eval().features(make_batch(self.projections, rows)).numpy())


def fit_projection(rows: Rows, stream: str, settings: ClipSettings) -> Projection:
    """Statistics and components of the training parts of a stream, without labels."""
    x = rows.parts[stream][rows.seen] if stream == UNITS else rows.parts[stream]
    x = x[:, :1] if stream in WHOLE else x
    flat = torch.from_numpy(x.reshape(-1, x.shape[-1]))
    std = flat.std(0)
    normaliser = Normaliser(flat.mean(0), torch.where(std > 1e-6, std, 1.0))
    if x.shape[-1] <= settings.components:
        return Projection(normaliser, None)
    scaled = normaliser.apply(flat, torch.ones(len(flat), dtype=torch.bool))
    _, strengths, axes = torch.svd_lowrank(scaled, q=settings.components, niter=4)
    # One scale for all components: each of unit deviation would raise the weak ones, mostly noise.
    return Projection(normaliser, axes / strengths.square().mean().div(len(flat)).sqrt())


def make_batch(projections: Mapping[str, Projection], rows: Rows) -> Batch:
    """All rows as one batch."""
    shape = (len(rows), PARTS)
    every = torch.ones(shape, dtype=torch.bool)
    seen = torch.from_numpy(rows.seen)[:, None].expand(shape)
    valid = {name: seen if name == UNITS else every for name in projections}
    streams = {name: one.apply(rows.parts[name], valid[name]) for name, one in projections.items()}
    return Batch(
        streams=streams,
        valid=valid,
        frames=every,
        targets=make_targets(torch.from_numpy(rows.labels)),
        clip=torch.arange(len(rows)),
        start=torch.zeros(len(rows), dtype=torch.long),
    )


def make_targets(labels: Tensor) -> Targets:
    """A clip as one frame (N, 1) that only has an expression."""
    known = torch.ones(len(labels), 1, dtype=torch.bool)
    return {"expr": TaskTargets(labels[:, None].long(), known)}
