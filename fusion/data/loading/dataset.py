"""Windows of aligned streams with their labels.

Data flow: clips + aligned streams > windows > Batch of one > `collate` > Batch.

Letters: B windows, T frames of a window, F frames of a clip, D feature dimensions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from features.cli.wording import counted
from fusion.data.batch import Batch, Targets
from fusion.data.stage_outputs import ClipExtras, teacher_scores
from fusion.data.windowing import cut
from fusion.streams.adaptation import NO_ADAPTATION, Adaptation
from fusion.streams.clip_streams import ClipStreams
from fusion.streams.normalization import Normaliser
from fusion.streams.person_normalization import (
    People,
    fit_people,
    make_scalers,
)
from fusion.tasks.clips import Clip
from fusion.tasks.labels import REACH, FrameLabels, TimedLabels
from fusion.tasks.learning.interface import TaskTargets
from fusion.tasks.registry import Tasks


class WindowDataset(Dataset[Batch]):
    """Windows over the clips of one split, in the order of the clips.

    Attributes:
        clips: Clips that have tracks; `Batch.clip` counts in this list.
        streams: Their aligned streams.
        labels: Their labels, matched to the frames by number (row i belongs to frame i + 1,
            surplus rows are cut, absent ones masked) or, where they have times, by time.
        people: Statistics of the clips' people, None unless streams are adapted to them.
        scalers: For each clip, what normalises each of its streams.
        windows: (index of the clip, first frame) of each window.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        streams: Sequence[ClipStreams],
        normalisers: Mapping[str, Normaliser],
        length: int = 300,
        stride: int = 200,
        adaptation: Adaptation = NO_ADAPTATION,
        people: People | None = None,
        extras: Sequence[ClipExtras] | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        """Cuts the clips into windows.

        Args:
            clips: Whose windows.
            streams: Of each clip.
            normalisers: Of the corpus, for each stream.
            length: Frames of a window.
            stride: Frames from one window to the next.
            adaptation: Whether streams are normalised by person or by their own past instead.
            people: Statistics of the clips' people; None: of these clips, if it is by person.
            extras: What earlier stages say of each clip; None: nothing.
            tasks: Whose labels are targets; None: of no task.
        """
        self.clips = list(clips)
        self.streams = list(streams)
        self.labels = [
            clip.labels_on(data.times) for clip, data in zip(clips, streams, strict=True)
        ]
        self.tasks = dict(tasks or {})
        self.extras = list(extras) if extras is not None else [ClipExtras()] * len(self.clips)
        self.length = length
        starts = [cut(len(data), length, stride) for data in streams]
        self.windows = [(index, start) for index, each in enumerate(starts) for start in each]
        if adaptation.kind == "person" and people is None:
            dims = {name: len(one.mean) for name, one in normalisers.items()}
            pairs = zip(self.clips, self.streams, strict=True)
            people = fit_people(pairs, dims, len(self.clips))
        self.people = people
        self.scalers = make_scalers(
            adaptation, self.clips, self.streams, normalisers, starts, people
        )

    @property
    def lengths(self) -> list[int]:
        """F of each clip, which stitching needs."""
        return [len(data) for data in self.streams]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        """One window, as a batch of one (B = 1)."""
        clip, start = self.windows[index]
        part = slice(start, start + self.length)
        data = self.streams[clip]
        valid = {name: self._padded(mask[part]) for name, mask in data.valid.items()}
        return Batch(
            streams={
                name: self.scalers[clip][name].apply(self._padded(rows[part]), valid[name], start)
                for name, rows in data.streams.items()
            },
            valid=valid,
            frames=self._padded(np.ones(len(data.times[part]), bool)),
            targets=self._targets(self.labels[clip], part),
            clip=torch.tensor([clip]),
            start=torch.tensor([start]),
            **self._of_stages(clip, part),
        )

    def _of_stages(self, clip: int, part: slice) -> dict[str, Any]:
        """What earlier stages say of a window: feeds and teacher."""
        extras = self.extras[clip]
        feeds = {name: self._padded(rows[part]) for name, rows in extras.feeds.items()}
        teachers = [(one, self._padded(rows[part])) for one, rows in extras.teachers]
        return {"feeds": feeds, "teacher": teacher_scores(teachers)}

    def _targets(self, labels: FrameLabels, part: slice) -> Targets:
        own = {name: task.labels_in(labels)[part] for name, task in self.tasks.items()}
        return {
            name: TaskTargets(self._padded(each.values), self._padded(each.mask))
            for name, each in own.items()
        }

    def _padded(self, rows: np.ndarray) -> Tensor:
        """Rows (n, ...) as (1, T, ...), copied with zeros (False) after the clip's end if n < T."""
        if len(rows) == self.length:
            return torch.from_numpy(rows[None])
        out = np.zeros((1, self.length, *rows.shape[1:]), rows.dtype)
        out[0, : len(rows)] = rows
        return torch.from_numpy(out)


class EpochShuffle(Sampler[int]):
    """Shuffles by seed and epoch, so a resumed run goes on as the unbroken one would have.

    Lightning calls `set_epoch`, and deals the order out to the processes of a distributed run.
    """

    def __init__(self, windows: int, seed: int) -> None:
        self.windows, self.seed, self.epoch = windows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.windows

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.windows)
        return iter(order.tolist())


def collate(items: Sequence[Batch]) -> Batch:
    """Joins batches along B."""
    joined: Batch = _joined(items)
    return joined


def _joined(items: Sequence[Any]) -> Any:
    """Joins tensors, or the tensors inside equal dicts and dataclasses."""
    first = items[0]
    if isinstance(first, Tensor):
        return torch.cat(list(items))
    if isinstance(first, dict):
        return {key: _joined([item[key] for item in items]) for key in first}
    return type(first)(**_joined([vars(item) for item in items]))


@dataclass
class DataSummary:
    """What went into a data set, and what did not, for the user to read.

    Attributes:
        clips: Number of clips with tracks.
        frames: Their frames.
        skipped: Ids of clips without any track.
        missing: Stream name to ids of clips that lack it.
        valid: Stream name to number of valid frames.
        surplus: Clip id to label rows beyond the last frame (cut).
        absent: Clip id to frames beyond the last label row (masked).
        steps: Clip id to seconds between its labels, where these have times of their own.
    """

    clips: int = 0
    frames: int = 0
    skipped: list[str] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    valid: dict[str, int] = field(default_factory=dict)
    surplus: dict[str, int] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)

    def add(self, clip: Clip, data: ClipStreams | None) -> None:
        """Counts a clip; `data` is None if it has no track."""
        if data is None:
            self.skipped.append(clip.id)
            return
        self.clips += 1
        self.frames += len(data)
        for name, mask in data.valid.items():
            self.valid[name] = self.valid.get(name, 0) + int(mask.sum())
            if data.streams[name].path is None:
                self.missing.setdefault(name, []).append(clip.id)
        if isinstance(clip.labels, TimedLabels):
            self.steps[clip.id] = clip.labels.step
            if behind := clip.labels.behind(data.times):
                self.surplus[clip.id] = behind
        rows = clip.labels.rows_for(len(data))
        if rows > len(data):
            self.surplus[clip.id] = rows - len(data)
        elif 0 < rows < len(data):
            self.absent[clip.id] = len(data) - rows

    def lines(self) -> list[str]:
        """The summary as text; what is as it should be takes no line."""
        shares = ", ".join(
            f"{name} {count / max(self.frames, 1):.1%}" for name, count in self.valid.items()
        )
        streams = f"valid: {shares}" if shares else "no stream of its own"
        text = [f"{counted(self.clips, 'clip')}, {counted(self.frames, 'frame')}; {streams}"]
        text += [f"no '{name}': {listed(ids)}" for name, ids in self.missing.items()]
        if self.skipped:
            text.append(f"skipped, no track at all: {listed(self.skipped)}")
        if self.surplus:
            rows = counted(sum(self.surplus.values()), "label row")
            text.append(f"{rows} beyond the last frame cut: {listed(self.surplus)}")
        if self.steps:
            step = float(np.median(list(self.steps.values())))
            text.append(
                f"labels by time, about {step:.3g} s apart: each frame takes the nearest row, no"
                f" further than {REACH} of that, or of a frame: {listed(self.steps)}"
            )
        if self.absent:
            frames = counted(sum(self.absent.values()), "frame")
            text.append(f"{frames} beyond the last label row masked: {listed(self.absent)}")
        return text


def listed(ids: Iterable[str], thing: str = "clip", most: int = 5) -> str:
    """Number of ids and the first few of them."""
    names = list(ids)
    more = ", ..." if len(names) > most else ""
    return f"{counted(len(names), thing)} ({', '.join(names[:most])}{more})"
