"""Raw videos and folders of pictures below a folder, looked at without decoding.

root > `find_media` > Media: files by id > `video_facts`, `picture_numbers`.

Letters: N pictures of one id.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from features.cli.default_corpus import default_store
from features.faces.precropped import SUFFIXES, find_crops
from features.media.container import (
    INDEX_SLACK,
    cut_off,
    has_index,
    nominal_rate,
    open_media,
    shown_entries,
    video_stream,
)
from features.media.folders import walk
from features.media.kinds import kind_of
from features.media.timeline import read_timeline
from features.store.track_store import TrackStore
from fusion.abaw.reading.layout import video_of


@dataclass
class Media:
    """Where the media of a data set are.

    Attributes:
        videos: File by id of the video, of all batches together.
        sounds: Sound file by id.
        tracks: Ids of extracted tracks.
        repeats: Files whose id another file of their kind has.
        unreadable: Folders that cannot be read.
        pictures: Folders by id of the person, of `cropped_aligned` and its additions together.
    """

    videos: dict[str, Path] = field(default_factory=dict)
    sounds: dict[str, Path] = field(default_factory=dict)
    tracks: set[str] = field(default_factory=set)
    repeats: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    pictures: dict[str, list[Path]] = field(default_factory=dict)

    def video_of(self, track_id: str) -> str:
        """Id of a person's raw video; a video that is itself called `12_left` is its own."""
        own = track_id in self.videos or track_id in self.sounds
        own = own or (track_id in self.tracks and video_of(track_id) not in self.videos)
        return track_id if own else video_of(track_id)

    def has(self, track_id: str) -> bool:
        """Whether there is a video, sound, or a folder of pictures of a person."""
        names, groups = (self.video_of(track_id), track_id), self._groups()
        return any(name in group for name in names for group in groups)

    def ids(self) -> set[str]:
        """Ids of all that is there."""
        return set().union(*self._groups())

    def _groups(self) -> tuple[Collection[str], ...]:
        return self.videos, self.sounds, self.pictures, self.tracks


@dataclass(frozen=True)
class VideoFacts:
    """What the container says.

    Attributes:
        frames: Frames; decoding may yield one or two fewer.
        rate: Frames per second on average.
    """

    frames: int
    rate: float


def find_media(root: Path) -> Media:
    """Finds videos, sound and folders of pictures at any depth, but hidden ones and tracks."""
    media = Media(pictures=find_crops(root))
    tracks = default_store(root)
    store = TrackStore(tracks)
    media.tracks = {track_id for stream in store.streams() for track_id in store.ids(stream)}
    for folder, children, files in walk(root, lambda path, _: media.unreadable.append(path)):
        children[:] = [
            c
            for c in children
            if not c.lower().startswith((".", "cropped")) and folder / c != tracks
        ]
        for path in (folder / file for file in files if not file.startswith(".")):
            if kind := kind_of(path):
                known = media.videos if kind == "pictures" else media.sounds
                if known.setdefault(path.stem, path) != path:
                    media.repeats.append(path)
    return media


def video_facts(path: Path) -> VideoFacts:
    """Reads an MP4's index, if it is complete; of all else the times of all packets.

    Raises:
        MediaError: If the file cannot be read, is cut off, or has no video.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        rate = nominal_rate(stream)
        if has_index(container, stream) and _begins_and_ends(stream):
            entries, size = shown_entries(stream), path.stat().st_size
            there = sum(entry.pos + entry.size <= size for entry in entries)
            if len(entries) - there > INDEX_SLACK:
                raise cut_off(path, there, len(entries))
            return VideoFacts(len(entries), rate)
    times = read_timeline(path).times
    return VideoFacts(len(times), (len(times) - 1) / times[-1] if len(times) > 1 else rate)


def _begins_and_ends(stream: av.VideoStream) -> bool:
    """Whether an index reaches from a frame that can be decoded by itself to the end.

    It does not where a file goes on in fragments, which tell of themselves.
    """
    reach = len(shown_entries(stream)) / nominal_rate(stream)
    whole = float((stream.duration or 0) * (stream.time_base or 0))
    return bool(stream.index_entries[0].is_keyframe) and reach > 0.9 * whole


def picture_numbers(folders: list[Path]) -> np.ndarray:
    """Frame numbers (N,) int64 that have a picture in any of the folders, rising, from 1."""
    # Not crop_numbers: a Path for each of three million pictures would take a minute.
    names = (file.name.rpartition(".") for folder in folders for file in os.scandir(folder))
    numbers = {int(n) for n, _, end in names if n.isdecimal() and f".{end.lower()}" in SUFFIXES}
    return np.array(sorted(numbers - {0}), np.int64)
