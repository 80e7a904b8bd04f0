"""What `train_speed` runs: a corpus of any size, our loop, and what it is held against.

Data flow: F frames > Clips + TrackStore > AffectDataModule > contestants, which all step in the
same way and differ in where the batches come from or in the model.

Letters: B windows, T frames of a window, F frames of a clip, D feature dimensions, C channels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from experiments.timing import Timing
from features.store.feature_track import MAIN, SOUND, FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from fusion.data.batch import Batch, Scores
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.run_identity import plain
from fusion.losses.multitask import LossSettings, MultiTaskLoss
from fusion.model.fusion.leader_follower import LeaderFollowerFusion
from fusion.model.heads import ParallelHeads
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import default_tasks
from fusion.training.config import TrainSettings
from fusion.training.optimizer import parameter_groups
from fusion.training.run import make_module
from fusion.training.trainer import make_trainer, quiet_lightning

CLIP_FRAMES = 6944
"""Frames of a clip: 3 million frames in 432 clips, as the real set has them."""
HELD_OUT = 5
"""Every so many clips, one is for validation."""
FPS = 30.0
VALIDATED = 2
"""Batches of validation after an epoch, whose time does not count."""


def write_corpus(root: Path, frames: int, dims: Mapping[str, int]) -> tuple[list[Clip], TrackStore]:
    """Clips with labels of all tasks, and float16 tracks of noise on their frame clock.

    Args:
        root: Folder to write to.
        frames: Of all clips together; at least two clips are made.
        dims: Stream name to D; the first is seen, the others are heard.
    """
    store, rng = TrackStore(root), np.random.default_rng(1)
    count = max(round(frames / CLIP_FRAMES), 2)
    each = frames // count
    noise = {name: rng.standard_normal((each, dim)).astype("f2") for name, dim in dims.items()}
    for number in range(count):
        for index, (name, values) in enumerate(noise.items()):
            info = TrackInfo(str(number), SOUND if index else MAIN, name, "noise", "1", "1", "")
            values = np.roll(values, number, axis=0)
            store.write(FeatureTrack(values, np.arange(each) / FPS, np.ones(each, bool), info))
    splits = ["train" if number % HELD_OUT else "validation" for number in range(count)]
    names = [str(number) for number in range(count)]
    pairs = zip(names, splits, strict=True)
    return [Clip(name, name, split, _labels(each, rng), name) for name, split in pairs], store


def _labels(frames: int, rng: np.random.Generator) -> FrameLabels:
    every = np.ones(frames, bool)
    units = rng.integers(0, 2, (frames, len(UNITS))).astype(np.float32)
    return FrameLabels(
        frames,
        {
            "va": TaskLabels(rng.uniform(-1, 1, (frames, 2)).astype(np.float32), every),
            "expr": TaskLabels(rng.integers(0, len(EXPRESSIONS), frames), every),
            "au": TaskLabels(units, np.ones(units.shape, bool)),
        },
    )


def make_data(
    clips: Sequence[Clip], store: TrackStore, streams: Iterable[str], batch: int
) -> AffectDataModule:
    """The data module with default settings but for the streams and the batch."""
    return AffectDataModule(clips, store, DataSettings(streams=list(streams), batch=batch), seed=1)


class Stepper:
    """A model, its loss and its optimizer, and nothing else around them.

    Args:
        model: Batch to Scores.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()
        fitted = {
            "expr": {"weights": torch.ones(len(EXPRESSIONS))},
            "au": {"pos_weights": torch.ones(len(UNITS))},
        }
        self.loss = MultiTaskLoss(LossSettings(), default_tasks(), fitted)
        self.optimizer = AdamW(parameter_groups(model, 0.01), lr=1e-3)

    def steps(self, batches: Iterator[Batch], number: int) -> Timing:
        """Takes some steps; windows and time, the loading of the batches included."""
        timing = Timing()
        with timing.running():
            for _ in range(number):
                batch = next(batches)
                loss = self.loss(self.model(batch), batch.targets)["total"]
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                timing.amount += len(batch.clip)
        return timing


def in_memory(data: AffectDataModule, number: int) -> Iterator[Batch]:
    """The first training batches, loaded before, again and again."""
    loader = iter(data.train_dataloader())
    return cycle([next(loader) for _ in range(number)])


class LeaderFollowerModel(nn.Module):
    """A stand-in of the size and shape of LFAN (Zhang et al. 2021), for speed alone.

    A TCN of Bai, Kolter and Koltun (2018) for each stream, with two causal convolutions a level at
    every frame, and our leader-follower attention. It lacks their weight norm, which takes time.
    4.9 million parameters at 512 + 768 dimensions.

    Args:
        streams: Stream name to D; the first one leads.
        channels: Of each level.
        kernel: Taps of each convolution.
    """

    def __init__(
        self,
        streams: Mapping[str, int],
        channels: Sequence[int] = (256, 256, 128, 128),
        kernel: int = 5,
    ) -> None:
        super().__init__()
        self.streams = list(streams)
        self.encoders = nn.ModuleList(
            nn.Sequential(
                *(
                    _CausalLevel(before, after, kernel, 2**level)
                    for level, (before, after) in enumerate(
                        zip([dim, *channels[:-1]], channels, strict=True)
                    )
                )
            )
            for dim in streams.values()
        )
        self.fusion = LeaderFollowerFusion(len(streams), channels[-1], channels[-1], leader=0)
        self.heads = ParallelHeads(channels[-1], default_tasks())

    def forward(self, batch: Batch) -> Scores:
        """Scores of every frame."""
        encoded = [
            encoder(batch.streams[name].transpose(1, 2)).transpose(1, 2)
            for encoder, name in zip(self.encoders, self.streams, strict=True)
        ]
        valid = torch.stack([batch.valid[name] for name in self.streams], dim=-1)
        scores: Scores = self.heads(self.fusion(torch.stack(encoded, dim=2), valid))
        return scores


class _CausalLevel(nn.Module):
    """Two dilated convolutions and a residual, (B, D, T) to (B, C, T)."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.padding = ((kernel - 1) * dilation, 0)
        self.first = nn.Conv1d(before, after, kernel, dilation=dilation)
        self.second = nn.Conv1d(after, after, kernel, dilation=dilation)
        self.residual = nn.Conv1d(before, after, 1) if before != after else nn.Identity()
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x
        for convolution in (self.first, self.second):
            padded = functional.pad(hidden, self.padding)
            hidden = self.dropout(functional.relu(convolution(padded)))
        return functional.relu(hidden + self.residual(x))


def our_loop(data: AffectDataModule, folder: Path, epochs: int, steps: int) -> Timing:
    """Trains as `fusion.train` does, with default settings; windows and time of the last epoch.

    Args:
        data: Set up.
        folder: For checkpoints and logs.
        epochs: To train.
        steps: Of an epoch, at most.
    """
    settings, watch = TrainSettings(data=data.settings), Watch()
    module = make_module(settings, data, plain(settings))
    with quiet_lightning():
        trainer = make_trainer(
            folder, epochs=epochs, patience=epochs, precision=settings.precision, devices=None
        )
        trainer.callbacks += [watch]  # type: ignore[attr-defined]
        trainer.limit_train_batches = steps
        trainer.limit_val_batches = VALIDATED
        trainer.fit(module, datamodule=data)
    return watch.timing


class Watch(pl.Callback):
    """Times the training part of each epoch; validation and what follows it are not counted.

    Attributes:
        timing: Windows and time of the last epoch.
    """

    def __init__(self) -> None:
        self.timing, self._running = Timing(), ExitStack()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self.timing = Timing()
        self._running.enter_context(self.timing.running())

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Counts windows."""
        self.timing.amount += len(batch.clip)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock."""
        self._running.close()
