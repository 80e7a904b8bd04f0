"""What is known of the videos that imported features belong to: whose, and how long they are.

Data flow: store, or the media beside it > (video, person) of an id, seconds of a video > imported
times held against these.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from features.cli.default_corpus import default_store
from features.errors import UserError
from features.media import frame_times
from features.media.container import open_media
from features.pipeline.discovery import Source, find_sources
from features.store.feature_track import MAIN, SOUND, DamagedTrack
from features.store.person_names import split_person
from features.store.track_store import CLOCK, TrackStore

IMPORTED = "ingest"
"""`TrackInfo.encoder` of every imported track, which vouches for nothing."""
SLACK, SHARE = 1.0, 0.05
"""Seconds, and share of its length, by which times may go beyond a video's end."""
DENSEST = 1e-3
"""Least seconds from one row to the next: nothing is measured a thousand times a second."""
THOUSAND = (200.0, 5000.0)
"""How many times too long a table in milliseconds is, since it may end early."""


@dataclass(frozen=True)
class Length:
    """How long something is.

    Attributes:
        end: Seconds.
        frames: Times of its frames (F,); empty if they are not known.
        told_by: What tells.
    """

    end: float
    frames: np.ndarray
    told_by: str


class KnownClocks:
    """Asks the store, and if that does not know, the media that it lies beside.

    Args:
        store: The store.
    """

    def __init__(self, store: TrackStore) -> None:
        self._store = store

    def whose(self, name: str) -> tuple[str, str]:
        """(video, person) of an id; where nothing tells, `12_left` is the left person of 12."""
        with suppress(DamagedTrack):
            if told := self._store.told(name):
                return told.video, MAIN if told.person == SOUND else told.person
        return split_person(name, self._sources)

    def length(self, track_id: str, video: str) -> Length | None:
        """Length of a video, by its tracks or its file; None if nobody knows."""
        lengths: dict[bool, Length] = {}  # one of pictures and one of sound, faces first
        for stream in dict.fromkeys((CLOCK, *self._store.streams())):
            for name in dict.fromkeys((track_id, video)):
                self._add(lengths, stream, name)
        if lengths:
            longest = max(lengths.values(), key=lambda one: one.end)
            return replace(longest, frames=lengths.get(False, longest).frames)
        source = self._sources.get(video)
        return _of_source(source) if source else None

    def _add(self, lengths: dict[bool, Length], stream: str, name: str) -> None:
        """Adds the length of one track, if it was extracted and its kind is not there yet."""
        with suppress(FileNotFoundError, DamagedTrack):
            info = self._store.info(stream, name)
            sound = info.person == SOUND
            if info.encoder == IMPORTED or sound in lengths:
                return
            times = self._store.read(stream, name).times
            if len(times):
                end = max(info.duration, float(times[-1]))
                frames = times[:0] if sound else times
                lengths[sound] = Length(end, frames, str(self._store.path(stream, name)))

    @cached_property
    def _sources(self) -> dict[str, Source]:
        """Media beside a store that lies where extraction puts it, by id."""
        root = self._store.root.absolute().parent
        if default_store(root) != self._store.root.absolute():
            return {}
        with suppress(UserError):
            return {source.id: source for source in find_sources(root)}
        return {}


def _of_source(source: Source) -> Length | None:
    """By the file: the header's word, or where that is silent the packets'."""
    for path in source.files:
        with suppress(UserError, OSError):
            with open_media(path) as container:
                end = (container.duration or 0) / av.time_base
            times = frame_times(path) if not end and source.video == path else np.zeros(0)
            end = end or float(times[-1] if len(times) else 0)
            if end:
                return Length(end, times, str(path))
    return None


def require_possible(path: Path, times: np.ndarray, known: Length | None) -> None:
    """Checks that imported times can be those of their video.

    Args:
        path: The file that they are from.
        times: (T,) seconds, rising.
        known: What is known of the video.

    Raises:
        UserError: If they go on after its end, are denser than anything is measured, or are as
            many as it has frames and end elsewhere; with the remedy.
    """
    if len(times) > 1 and np.median(np.diff(times)) < DENSEST:
        raise UserError(
            f"{path}: {1 / np.median(np.diff(times)):,.0f} rows a second; its times are in another"
            " unit: see --time_unit, or give --fps"
        )
    if known is None or not len(times):
        return
    last, told = float(times[-1]), f"{known.end:.2f} s ({known.told_by})"
    if last > known.end + max(SLACK, SHARE * known.end):
        milli = THOUSAND[0] < last / max(known.end, DENSEST) < THOUSAND[1]
        remedy = "give --time_unit ms if they are milliseconds" if milli else (
            "give the true --fps, or --times_from faces"
        )  # fmt: skip
        raise UserError(f"{path}: its times go to {last:.2f} s, its video ends at {told}; {remedy}")
    frames = known.frames
    if 1 < len(frames) == len(times):
        step = float(np.median(np.diff(frames)))
        if abs(last - frames[-1]) > max(2 * step, 0.02 * float(frames[-1])):
            raise UserError(
                f"{path}: as many rows as its video has frames, but they end at {last:.2f} s, the"
                f" frames at {frames[-1]:.2f} s; give --times_from {CLOCK}"
            )
