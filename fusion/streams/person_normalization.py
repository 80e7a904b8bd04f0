"""Person-adaptive normalisation: streams scaled by a person's own unlabelled frames.

Data flow: clips + aligned streams > statistics of each person, or of each clip's past > a scaler
for each clip and stream > windows.

    none     mean and deviation of the training clips
    person   mean and deviation of the person's own valid frames, over all clips at hand
    causal   running mean and deviation of the clip's own valid frames up to the one at hand

Both use frames of the very clips that are predicted, though none of their labels, and are reported
as transductive; `causal` uses no frame that has not been seen yet, so it can run live.

Letters: F frames of a clip, T frames of a window, D feature dimensions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from features.cli.progress import ProgressReport
from features.cli.wording import counted
from fusion.streams.adaptation import Adaptation
from fusion.streams.clip_streams import ClipStreams
from fusion.streams.normalization import Moments, Normaliser
from fusion.tasks.clips import Clip

FLOOR = 1e-12
"""Least running variance, below which there is only rounding."""


class Scaler(Protocol):
    """Normalises the windows of one stream of one clip."""

    def apply(self, values: Tensor, valid: Tensor, start: int) -> Tensor:
        """Normalised (1, T, D) float32; rows not valid (1, T) become zero.

        Args:
            values: (1, T, D).
            valid: (1, T) bool.
            start: First frame of the window.
        """


@dataclass
class People:
    """Statistics of each person's streams.

    Attributes:
        normalisers: Person to stream name to normaliser.
        mute: Stream name to the people of whom it says nothing: it has no valid frame, or is
            constant. Such a stream is zero throughout.
    """

    normalisers: dict[str, dict[str, Normaliser]] = field(default_factory=dict)
    mute: dict[str, list[str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Streams that vanish for somebody, for the user to read."""
        everybody = counted(len(self.normalisers), "person", "people")
        return [
            f"'{name}' is constant or absent for {len(people)} of {everybody}"
            f" (such as {people[0]}) and zero after adaptation to the person"
            for name, people in self.mute.items()
        ]


def person_of(clip: Clip) -> str:
    """Who is seen in a clip: the person if known, else the clip's own id.

    The group of a clip whose person is unknown is its video, which may show two people.
    """
    return clip.id if clip.group == clip.video else clip.group


def fit_people(
    clips: Iterable[tuple[Clip, ClipStreams | None]], dims: Mapping[str, int], total: int
) -> People:
    """Mean and deviation of each person's streams over their valid frames, one pass in float64.

    Args:
        clips: Clips with their streams, None where there is no track.
        dims: Stream name to D.
        total: Number of clips, for the progress.
    """
    moments: dict[str, dict[str, Moments]] = {}
    with ProgressReport("statistics of people", total) as progress:
        for clip, data in clips:
            if data is not None:
                own = {name: Moments(dim) for name, dim in dims.items()}
                own = moments.setdefault(person_of(clip), own)
                for name, rows in data.streams.items():
                    own[name].add_clip(rows[:], data.valid[name])
            progress.step(clip.id)
    people = People()
    for person, own in moments.items():
        people.normalisers[person] = {name: one.normaliser() for name, one in own.items()}
        for name, one in own.items():
            if not one.std.any():
                people.mute.setdefault(name, []).append(person)
    return people


@dataclass(frozen=True)
class Past:
    """What has been seen before a frame, on the scale of the corpus.

    Attributes:
        count: Valid frames, those of the prior among them.
        mean: (D,) float32.
        variance: (D,) float32.
    """

    count: int
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class RunningNormaliser:
    """Scales each frame by the mean and deviation of the frames up to and including itself.

    Attributes:
        normaliser: Of the corpus, applied first.
        pasts: First frame of a window to what was seen before it.
    """

    normaliser: Normaliser
    pasts: Mapping[int, Past]

    def apply(self, values: Tensor, valid: Tensor, start: int) -> Tensor:
        """As `Scaler`; `start` must be the start of a known window.

        Sums are taken of the differences to the mean of the past, so that a large mean costs no
        digits; over a window, float32 is enough.
        """
        past, rows = self.pasts[start], valid.unsqueeze(-1)
        x = self.normaliser.apply(values, valid).sub_(past.mean).masked_fill_(~rows, 0.0)
        count = (past.count + valid.cumsum(-1)).unsqueeze(-1)
        mean = x.cumsum(-2).div_(count)
        square = x.square().cumsum(-2).add_(past.count * past.variance).div_(count)
        deviation = square.sub_(mean.square()).clamp_min_(FLOOR).sqrt_()
        return x.sub_(mean).div_(deviation).masked_fill_(~rows, 0.0)


def fit_running(
    data: ClipStreams, stream: str, normaliser: Normaliser, starts: Sequence[int], prior: int
) -> RunningNormaliser:
    """Reads a stream of a clip once and keeps what was seen before each window.

    Args:
        data: Streams of the clip.
        stream: Which.
        normaliser: Of the corpus.
        starts: First frames of the windows, rising.
        prior: Frames of the corpus's statistics that count as seen before the first.
    """
    values, valid = data.streams[stream][:], data.valid[stream]
    mean, std = normaliser.mean.double().numpy(), normaliser.std.double().numpy()
    moments, pasts = Moments(len(mean), prior), {}
    for before, start in pairwise([0, *starts]):
        part = slice(before, start)
        moments.add((values[part][valid[part]] - mean) / std)
        pasts[start] = Past(
            moments.count,
            torch.from_numpy(moments.mean).float(),
            torch.from_numpy(moments.squares / moments.count).float(),
        )
    return RunningNormaliser(normaliser, pasts)


def make_scalers(
    adaptation: Adaptation,
    clips: Sequence[Clip],
    streams: Sequence[ClipStreams],
    normalisers: Mapping[str, Normaliser],
    starts: Sequence[Sequence[int]],
    people: People | None = None,
) -> Sequence[Mapping[str, Scaler]]:
    """For each clip, what normalises each of its streams.

    Args:
        adaptation: How.
        clips: N clips.
        streams: Of each clip.
        normalisers: Of the corpus, for each stream.
        starts: First frames of the windows of each clip.
        people: Statistics of the clips' people if it is `person`, else None.
    """
    if people is not None:
        return [people.normalisers[person_of(clip)] for clip in clips]
    if adaptation.kind == "none":
        return [normalisers] * len(clips)
    return [
        {
            name: fit_running(data, name, normalisers[name], first, adaptation.prior)
            for name in data.streams
        }
        for data, first in zip(streams, starts, strict=True)
    ]
