"""Lightning data module: clips and tracks in, batches of windows out.

Data flow: clips + store > splits (or folds), with the training clips of further corpora > aligned
streams > normalised windows > batches.
"""

from collections.abc import Sequence

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Sampler

from features.cli.wording import counted
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.data.batch import Batch
from fusion.data.loading.config import DataSettings
from fusion.data.loading.dataset import DataSummary, EpochShuffle, WindowDataset, collate, listed
from fusion.data.loading.multi_corpus import (
    Source,
    read_extra,
    require_agreement,
    source_file,
    unshared,
    without_held_out,
)
from fusion.data.loading.sampling import (
    SetSampler,
    WindowSet,
    epoch_length,
    labelled_frames,
    make_sets,
)
from fusion.data.loading.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    origins,
    split_clips,
    why_empty,
)
from fusion.data.run_identity import content_of
from fusion.data.stage_outputs import NO_INPUTS, StageInputs
from fusion.streams.clip_streams import ClipStreams, load_clip
from fusion.streams.clip_tracks import FACES
from fusion.streams.normalization import Normaliser, fit_normalisers
from fusion.streams.stream_spec import StreamSpec, require_same_specs, stream_specs
from fusion.tasks.clips import Clip
from fusion.tasks.registry import DEFAULT, Tasks, default_tasks, sources_of

__all__ = ["AffectDataModule", "DataSettings", "fit_normalisers"]

STAGES = {
    "fit": (TRAIN, VALIDATION),
    "validate": (VALIDATION,),
    "test": (TEST,),
    "predict": (TEST,),
}
"""Splits that a stage of Lightning's Trainer needs."""


class AffectDataModule(pl.LightningDataModule):
    """Loaders over the splits of a corpus, and the training clips of others.

    A training run fits the normalisers on its training clips; a checkpoint's specs and normalisers
    are handed in when its model is to be evaluated, and tracks of another encoder are refused.

    Attributes:
        specs: Stream name to what its tracks are made of.
        normalisers: Stream name to normaliser; empty until they are fitted or handed in.
        splits: Split to its clips, under the names that they have in the training.
        extra: Names of the further corpora.
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
        tasks: Tasks | None = None,
        inputs: StageInputs = NO_INPUTS,
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
            tasks: Whose labels are targets; `mix` and `sampling` look at those that have weight.
                None: valence-arousal, expressions and action units.
            inputs: What the stages before hand on; `settings.streams` may be empty with feeds.
        """
        super().__init__()
        settings.check(fed=bool(inputs.feeds))
        self.inputs = inputs
        self.store, self.settings, self.seed = store, settings, seed
        self.tasks = default_tasks() if tasks is None else dict(tasks)
        self.specs = specs or stream_specs(store, settings.streams)
        if specs is not None:
            held = [name for name in specs if store.ids(name)] or list(specs)
            require_same_specs({name: specs[name] for name in held}, stream_specs(store, held))
        self.sources = {
            split: [Source(clip, clip, store, settings.cache) for clip in part]
            for split, part in split_clips(clips, settings, self.tasks).items()
        }
        self.extra: list[str] = []
        self._remarks: list[str] = []
        self._add_extra()
        if not settings.share_labels:
            self.sources[TRAIN] = unshared(self.sources[TRAIN], self._asked)
        self.splits = {split: [one.clip for one in part] for split, part in self.sources.items()}
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
        return DataLoader(
            self.datasets[split],
            batch_size=self.settings.batch,
            sampler=self._sampler(self.datasets[split]) if shuffle else None,
            num_workers=self.settings.workers,
            collate_fn=collate,
            persistent_workers=self.settings.workers > 0,
        )

    def lines(self) -> list[str]:
        """What went into the loaded splits, and what did not, for the user to read."""
        text = list(self._remarks)
        for split, summary in self.summaries.items():
            text += [f"{split}: {line}" for line in summary.lines()]
        for split, dataset in self.datasets.items():
            text += [f"{split}: {line}" for line in self._label_lines(split, dataset)]
            text += self.settings.adaptation().lines(split) if split != TRAIN else []
        videos = {split: {clip.video for clip in clips} for split, clips in self.splits.items()}
        if both := sorted(videos[TRAIN] & videos[VALIDATION]):
            text.append(f"train and validation share {listed(both, 'video')}")
        return text

    def content(self) -> dict[str, str]:
        """Training and validation clip to the fingerprint of its labels and tracks."""
        sources = self.sources[TRAIN] + self.sources[VALIDATION]
        return content_of(sources, list(self._dims()), self._asked)

    @property
    def _asked(self) -> set[str]:
        """Tasks whose labels matter: a data set may hold others, which nobody looks at.

        ABAW's do in any run, for folds are even in them.
        """
        return {*DEFAULT, *sources_of(self.tasks)}

    def _label_lines(self, split: str, dataset: WindowDataset) -> list[str]:
        """Tasks without labels, the sets that batches are mixed from, and mute streams."""
        without = [
            task.title
            for task in self.tasks.values()
            if not task.made_of and not labelled_frames(dataset, task).any()
        ]
        text = [f"no labels of {', '.join(without)}"] if without and split != TEST else []
        if split == TRAIN and self.settings.mix != "natural":
            sets = ", ".join(f"{one.name} {len(one.windows)}" for one in self._sets(dataset))
            text.append(f"batches mixed evenly from windows of {sets}")
        origin = origins(dataset.clips)
        text += [f"labels from {origin}"] if origin and split != TEST else []
        return text + (dataset.people.lines() if dataset.people else [])

    def shown(self, split: str) -> list[tuple[Clip, str]]:
        """Clips of a split that have tracks, each with the sha256 of its file, "" if unknown."""
        used = {clip.id for clip in self.datasets[split].clips}
        names = (FACES, *self.specs)
        return [
            (one.clip, source_file(one, names) or "")
            for one in self.sources[split]
            if one.clip.id in used
        ]

    def _add_extra(self) -> None:
        """Adds the training clips of further corpora, without what is held out."""
        settings = self.settings
        corpora = read_extra(settings.root, settings.extra, settings.cache, settings.challenge)
        stores = {name: sources[0].store for name, sources in corpora.items()}
        require_agreement(self.specs, self.store, stores.values())
        held_out = self.sources[VALIDATION] + self.sources[TEST]
        for name, sources in corpora.items():
            kept, left = without_held_out(sources, held_out, self._dims())
            self.sources[TRAIN] += kept
            self.extra.append(name)
            where = f"{stores[name].root.parent}: {origins(one.clip for one in sources)}"
            self._remarks.append(f"train: {counted(len(kept), 'clip')} of {name} ({where})")
            if left:
                self._remarks.append(f"train: held out in the main corpus, left out {listed(left)}")

    def _sampler(self, dataset: WindowDataset) -> Sampler[int]:
        """Order of the training windows."""
        if (self.settings.mix, self.settings.sampling) == ("natural", "uniform"):
            return EpochShuffle(len(dataset), self.seed)
        processes, rank = (
            (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        )
        sets = self._sets(dataset)
        length = epoch_length(len(dataset), self.settings.batch, len(sets), processes)
        return SetSampler(sets, length, self.seed, processes, rank)

    def _sets(self, dataset: WindowDataset) -> list[WindowSet]:
        settings = self.settings
        learnt = {n: task for n, task in self.tasks.items() if task.weight and not task.made_of}
        return make_sets(dataset, settings.mix, settings.sampling, settings.batch, learnt)

    def _load(self, split: str) -> None:
        """Makes the data set of a split, once."""
        if split in self.datasets:
            return
        clips, streams = self._aligned(split)
        if split == TRAIN and not self.normalisers:
            self.normalisers = fit_normalisers(streams, self.specs)
        self.datasets[split] = WindowDataset(
            clips,
            streams,
            self.normalisers,
            self.settings.window,
            self.settings.stride,
            self.settings.adaptation(),
            extras=[
                self.inputs.of_clip(clip, len(data), taught=split == TRAIN)
                for clip, data in zip(clips, streams, strict=True)
            ],
            tasks=self.tasks,
        )

    def _dims(self) -> dict[str, int]:
        """Dimensions of each stream, those included that only the stages before have looked at."""
        return self.inputs.streams() | {name: spec.dim for name, spec in self.specs.items()}

    def _aligned(self, split: str) -> tuple[list[Clip], list[ClipStreams]]:
        """The clips of a split that have tracks, with their streams; UserError if none has."""
        dims = self._dims()
        summary, clips, streams = DataSummary(), [], []
        for one in self.sources[split]:
            data = load_clip(one.store, one.own, dims, self.settings.align_window, one.cache)
            data = data and data.only(self.specs)
            summary.add(one.clip, data)
            if data is not None:
                clips.append(one.clip)
                streams.append(data)
        self.summaries[split] = summary
        if not summary.frames:
            raise UserError(why_empty(split, self.splits[split], self.store, self.settings))
        return clips, streams
