r"""Splits the sources of a folder among machines.

Data flow: sources > extents, from the files' headers > costs > the sources of one shard.

Every machine gets the same folder and store, and a shard of its own. As a SLURM array:

    #!/bin/bash
    #SBATCH --array=1-8 --cpus-per-task=4 --mem=8G --time=12:00:00
    srun python -m features.extract --data.root /data/Aff-Wild2 --data.store /data/tracks \
        --shard $SLURM_ARRAY_TASK_ID/8

The jobs may be submitted again, in any number of shards: what is done is not done again, and what
another job works on at that time is left to it. The split is the same in every job as long as the
folder stays as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from features.errors import UserError
from features.faces.precropped import crop_numbers
from features.media import MediaError, NoVideo
from features.media.container import USUAL_RATE, alive, open_media, seconds, video_stream
from features.media.sound.audio import sound_stream
from features.pipeline.discovery import Source

SOUND_COST = 4.0
"""Frames that cost as much as a second of sound, as measured on two cores: finding faces and
`expression` do 30 to 40 frames a second, wav2vec2 10 seconds a second."""

WILD_RATE = 1000.0
"""Frames per second that are no rate but the tick of a container without one."""


@dataclass(frozen=True)
class Extent:
    """How much there is of a source.

    Attributes:
        frames: Frames of the video, or pictures of ready-made crops.
        sound: Seconds of sound.
    """

    frames: int = 0
    sound: float = 0.0

    @property
    def cost(self) -> float:
        """Work, counted in frames."""
        return self.frames + SOUND_COST * self.sound


def extent_of(source: Source) -> Extent:
    """Extent by the headers, or else the packets, without decoding; nothing if it is unreadable."""
    if (clip := source.arrays) is not None:
        frames = 0 if clip.frames is None else len(clip.frames)
        return Extent(frames, len(clip.samples) / clip.rate if clip.samples is not None else 0.0)
    try:
        frames, sound = _media_extent(source.media) if source.media else (0, 0.0)
        if source.sound and not sound:
            sound = _media_extent(source.sound)[1]
        if source.crops:
            frames = sum(len(crop_numbers(folders)) for folders in source.crops.values())
    except (MediaError, OSError):  # extraction names it when its turn comes
        return Extent()
    return Extent(frames, sound)


def parse_shard(text: str) -> tuple[int, int]:
    """(i, N) of `i/N`, e.g. `3/8`: the third of eight shards.

    Raises:
        UserError: If it is not that, or i is not in 1 to N.
    """
    numbers = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if numbers:
        shard, shards = int(numbers[1]), int(numbers[2])
        if 1 <= shard <= shards:
            return shard, shards
    raise UserError(f"--shard {text}: give i/N with i from 1 to N, e.g. 3/8")


def in_shard(sources: Sequence[Source], shard: str | None) -> list[Source]:
    """The sources of one shard, in their order; all if there is none to choose.

    Every source is in exactly one of the N shards, which depend on nothing but the sources' ids
    and headers. Graham's LPT rule: the costliest first, each to the shard with the least to do.

    Raises:
        UserError: For a shard that makes no sense.
    """
    if shard is None:
        return list(sources)
    mine, shards = parse_shard(shard)
    costs = {source.id: extent_of(source).cost for source in sources}
    load, chosen = np.zeros((shards, 2)), set[str]()
    for name in sorted(costs, key=lambda name: (-costs[name], name)):
        least = np.lexsort((load[:, 1], load[:, 0]))[0]  # by cost, then by number of items
        load[least] += costs[name], 1
        if least == mine - 1:
            chosen.add(name)
    return [source for source in sources if source.id in chosen]


def _media_extent(path: Path) -> tuple[int, float]:
    """Frames and seconds of sound; MediaError if the file cannot be opened."""
    with open_media(path) as container:
        sound = sound_stream(container)
        try:
            video = video_stream(container, path)
        except NoVideo:
            video = None
        if not container.duration:
            return _counted(container, video, sound)
        frames = 0 if video is None else _frames_by_header(container, video)
        return frames, 0.0 if sound is None else _length(container, sound)


def _frames_by_header(container: av.container.InputContainer, video: av.VideoStream) -> int:
    """Frames by rate and length, but no more than the header counts: edit lists hide some."""
    rates = (float(rate or WILD_RATE) for rate in (video.average_rate, video.guessed_rate))
    rate = next((rate for rate in rates if rate < WILD_RATE), USUAL_RATE)
    by_length = round(_length(container, video) * rate)
    return min(video.frames, by_length) if video.frames and by_length else by_length


def _length(container: av.container.InputContainer, stream: av.stream.Stream) -> float:
    """Seconds of a stream by its header, or else of the whole file."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _counted(
    container: av.container.InputContainer,
    video: av.VideoStream | None,
    sound: av.AudioStream | None,
) -> tuple[int, float]:
    """Frames and seconds of sound of a file without a length, as live recorders write, by packets.

    Nothing is decoded.
    """
    frames, first, last = 0, np.inf, -np.inf
    for packet in alive(container.demux([s for s in (video, sound) if s is not None])):
        if packet.stream is video:
            frames += bool(packet.size)
        elif (at := seconds(packet.pts, packet)) is not None:
            first, last = min(first, at), max(last, at + (seconds(packet.duration, packet) or 0.0))
    return frames, max(0.0, float(last - first))
