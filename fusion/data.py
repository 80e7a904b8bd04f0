"""Lightning data module: clips and tracks in, batches of windows out.

Data flow: clips + store > splits (or folds) > aligned streams > normalised windows > batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from features.cli import UserError
from features.store import TrackStore
from fusion.abaw.labels import Clip
from fusion.batch import Batch
from fusion.clips import ClipStreams, load_clip
from fusion.dataset import DataSummary, EpochShuffle, WindowDataset, collate, listed
from fusion.folds import folds_of
from fusion.normalise import Normaliser, fit
from fusion.specs import StreamSpec, require_same_specs, stream_specs

TRAIN, VALIDATION, TEST = "train", "validation", "test"
STAGES = {
    "fit": (TRAIN, VALIDATION),
    "validate": (VALIDATION,),
    "test": (TEST,),
    "predict": (TEST,),
}
"""Splits that a stage of Lightning's Trainer needs."""


@dataclass
class DataSettings:
    """Where the data lies and how it is cut.

    Attributes:
        root: Folder of the corpus (annotations, media). None: the demo corpus.
        store: Folder of the feature tracks. None: `tracks` in the corpus folder.
        cache: Folder of aligned tracks, safe to delete. None: `.aligned` in the store's folder.
        streams: Streams that are fused.
        window: Frames of a window.
        stride: Frames from one window to the next.
        align_window: Width in seconds of the mean that puts audio tokens on the frames.
        batch: Windows of a batch.
        workers: Processes that load batches; 0: the training process itself.
        fold: Which fold is held out for validation, from 0; training and validation clips are
            pooled and split by person and video. None: the corpus's own split.
        folds: Number of folds.
    """

    root: Path | None = None
    store: Path | None = None
    cache: Path | None = None
    streams: list[str] = field(default_factory=lambda: ["expression", "wav2vec2"])
    window: int = 300
    stride: int = 200
    align_window: float = 0.2
    batch: int = 8
    workers: int = 0
    fold: int | None = None
    folds: int = 5

    def tracks(self) -> TrackStore:
        """The store; UserError if neither `store` nor `root` says where it is."""
        if self.store is not None:
            return TrackStore(self.store)
        if self.root is None:
            raise UserError("no data: set data.root to a corpus or data.store to a track folder")
        return TrackStore(self.root / "tracks")

    def check(self) -> None:
        """Raises UserError for values that make no sense, by name."""
        rules = {
            "data.streams is empty; name at least one stream": bool(self.streams),
            f"data.window must be at least 1: {self.window}": self.window >= 1,
            f"data.stride must lie between 1 and data.window ({self.window}): {self.stride}": (
                1 <= self.stride <= self.window
            ),
            f"data.align_window must not be negative: {self.align_window}": self.align_window >= 0,
            f"data.batch must be at least 1: {self.batch}": self.batch >= 1,
            f"data.workers must not be negative: {self.workers}": self.workers >= 0,
            f"data.fold must lie between 0 and {self.folds - 1}: {self.fold}": (
                self.fold is None or 0 <= self.fold < self.folds
            ),
        }
        for complaint, fine in rules.items():
            if not fine:
                raise UserError(complaint)


class AffectDataModule(pl.LightningDataModule):
    """Loaders over the splits of a corpus.

    A training run fits the normalisers on its training clips; a checkpoint's specs and normalisers
    are handed in when its model is to be evaluated, and tracks of another encoder are refused.

    Attributes:
        specs: Stream name to what its tracks are made of.
        normalisers: Stream name to normaliser; empty until they are fitted or handed in.
        datasets: Split to data set, filled by `setup`.
        summaries: Split to what went into it.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        store: TrackStore,
        settings: DataSettings,
        *,
        seed: int = 0,
        specs: dict[str, StreamSpec] | None = None,
        normalisers: dict[str, Normaliser] | None = None,
    ) -> None:
        """Checks the settings and the headers of all tracks.

        Args:
            clips: All splits.
            store: The tracks.
            settings: How to cut.
            seed: Order of the training windows.
            specs: Of a checkpoint, instead of `settings.streams`. A stream of which the store has
                no track is masked; None of them is an error.
            normalisers: Of a checkpoint; None: to be fitted on the training clips.
        """
        super().__init__()
        settings.check()
        self.store, self.settings, self.seed = store, settings, seed
        self.specs = specs or stream_specs(store, settings.streams)
        if specs is not None:
            held = [name for name in specs if store.ids(name)] or list(specs)
            require_same_specs({name: specs[name] for name in held}, stream_specs(store, held))
        self.splits = split_clips(clips, settings)
        self.normalisers = dict(normalisers or {})
        self.datasets: dict[str, WindowDataset] = {}
        self.summaries: dict[str, DataSummary] = {}

    def setup(self, stage: str) -> None:
        """Aligns what is not aligned yet, and fits the normalisers if none were handed in."""
        if not self.normalisers:
            self._load(TRAIN)
        for split in STAGES[stage]:
            self._load(split)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training windows, in a new order each epoch."""
        return self.loader(TRAIN, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation windows in order, for `WindowPool` to stitch."""
        return self.loader(VALIDATION)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test windows in order."""
        return self.loader(TEST)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Test windows in order."""
        return self.loader(TEST)

    def loader(self, split: str, shuffle: bool = False) -> DataLoader[Batch]:
        """Batches of a split that `setup` has loaded."""
        dataset = self.datasets[split]
        return DataLoader(
            dataset,
            batch_size=self.settings.batch,
            sampler=EpochShuffle(len(dataset), self.seed) if shuffle else None,
            num_workers=self.settings.workers,
            collate_fn=collate,
            persistent_workers=self.settings.workers > 0,
        )

    def lines(self) -> list[str]:
        """What went into the loaded splits, and what did not, for the user to read."""
        text = [
            f"{split}: {line}"
            for split, summary in self.summaries.items()
            for line in summary.lines()
        ]
        videos = {split: {clip.video for clip in clips} for split, clips in self.splits.items()}
        if both := sorted(videos[TRAIN] & videos[VALIDATION]):
            text.append(f"train and validation share {listed(both, 'videos')}")
        return text

    def _load(self, split: str) -> None:
        """Makes the data set of a split, once."""
        if split in self.datasets:
            return
        clips, streams = self._aligned(split)
        if split == TRAIN and not self.normalisers:
            self.normalisers = fit_normalisers(streams, self.specs)
        self.datasets[split] = WindowDataset(
            clips, streams, self.normalisers, self.settings.window, self.settings.stride
        )

    def _aligned(self, split: str) -> tuple[list[Clip], list[ClipStreams]]:
        """The clips of a split that have tracks, with their streams; UserError if none has."""
        dims = {name: spec.dim for name, spec in self.specs.items()}
        summary, clips, streams = DataSummary(), [], []
        for clip in self.splits[split]:
            data = load_clip(
                self.store, clip, dims, self.settings.align_window, self.settings.cache
            )
            summary.add(clip, data)
            if data is not None:
                clips.append(clip)
                streams.append(data)
        self.summaries[split] = summary
        if not summary.frames:
            raise UserError(_nothing(split, len(self.splits[split]), self.store, self.settings))
        return clips, streams


def split_clips(clips: Sequence[Clip], settings: DataSettings) -> dict[str, list[Clip]]:
    """Clips of each split; with `settings.fold`, training and validation clips are dealt anew."""
    splits = {name: [c for c in clips if c.split == name] for name in (TRAIN, VALIDATION, TEST)}
    if settings.fold is None:
        return splits
    pool = splits[TRAIN] + splits[VALIDATION]
    held_out = set(folds_of(pool, settings.folds)[settings.fold].tolist())
    splits[TRAIN] = [clip for index, clip in enumerate(pool) if index not in held_out]
    splits[VALIDATION] = [clip for index, clip in enumerate(pool) if index in held_out]
    return splits


def fit_normalisers(
    clips: Sequence[ClipStreams], specs: dict[str, StreamSpec]
) -> dict[str, Normaliser]:
    """Normaliser of each stream over the valid frames of the (training) clips."""
    return {
        name: fit(((clip.streams[name][:], clip.valid[name]) for clip in clips), spec.dim)
        for name, spec in specs.items()
    }


def _nothing(split: str, listed: int, store: TrackStore, settings: DataSettings) -> str:
    """Why a split is empty, and the remedy."""
    if listed:
        return (
            f"{store.root} has no tracks of the {listed} {split} clips;"
            " run python -m features.extract on the corpus"
        )
    remedy = "; hold people out of the training clips with data.fold" if split == VALIDATION else ""
    return f"no {split} clips in {settings.root or 'the corpus'}{remedy or '; see data.root'}"
