"""The streams of one annotated person on the frame clock of the video.

Data flow: store + clip > tracks that belong to the clip > aligned on the frames > ClipStreams.

A track that lies on the frames' clock already is read where it is. The others are aligned once and
kept as tracks in a cache folder, under a name that changes with all that the result depends on,
until nobody has used them for long (cache.py); the folder may be deleted between runs. Values stay
on disk until a window of them is read, so a corpus of any size fits; no file stays open, so neither
forked workers nor limits on open files matter.

Letters: F frames, D feature dimensions.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.store.feature_track import DamagedTrack, FeatureTrack, write_track
from features.store.fingerprint import fingerprint, tracks_content
from features.store.track_store import TrackStore
from fusion.streams.alignment import align, same_clock
from fusion.streams.cache import READ_ONLY, mark_used, own_caches, sweep
from fusion.streams.clip_tracks import (
    FACES,
    explained,
    find_clock,
    find_track,
    opened,
    read_clock,
)
from fusion.tasks.clips import Clip

CACHE = ".aligned"
"""Folder of aligned tracks, in the store's own folder unless a setting says otherwise."""
RULES = 2
"""To be raised when `align` changes what it returns, so that no cached track is used wrongly."""


@dataclass(frozen=True)
class Rows:
    """Values (F, D) that are read when they are sliced.

    Attributes:
        path: Track on the frame clock; None if the clip lacks the stream (all zeros).
        shape: (F, D).
        cached: Whether it is an aligned track of the cache.
    """

    path: Path | None
    shape: tuple[int, int]
    cached: bool = False

    def __getitem__(self, part: slice) -> np.ndarray:
        """Values (n, D), float16 or float32, of some consecutive frames."""
        start, stop, _ = part.indices(self.shape[0])
        if self.path is None:
            return np.zeros((max(stop - start, 0), self.shape[1]), np.float32)
        if self.cached:
            mark_used(self.path)
        with explained(), opened(self.path) as file:
            return file.get_slice("values")[start:stop]


@dataclass(frozen=True)
class ClipStreams:
    """Streams of one clip, a row a frame.

    Attributes:
        streams: Stream name to (F, D) values, sliced like an array.
        valid: Stream name to (F,) bool.
        times: (F,) float64, seconds.
        face: (F,) bool, where the track that gives the clock saw the person.
    """

    streams: dict[str, Rows]
    valid: dict[str, np.ndarray]
    times: np.ndarray
    face: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def only(self, names: Iterable[str]) -> "ClipStreams":
        """The same clip with some of its streams."""
        return replace(
            self,
            streams={name: self.streams[name] for name in names},
            valid={name: self.valid[name] for name in names},
        )


def load_clip(
    store: TrackStore,
    clip: Clip,
    dims: Mapping[str, int],
    window: float,
    cache: Path | None = None,
) -> ClipStreams | None:
    """Aligns the streams of a clip, or finds them aligned.

    Args:
        store: The tracks.
        clip: Whose streams.
        dims: Stream name to D, which a clip without the stream is given zeros of.
        window: Width in seconds of the window that is averaged (see `align`).
        cache: Folder for aligned tracks; None: `.aligned` in the store's folder, or one of the
            process's own that ends with it where the store can only be read.

    Returns:
        The streams, or None if the store has no track at all for the clip.

    Raises:
        UserError: If nothing gives the frame times, or a track is damaged.
    """
    with explained():
        ids = {stream: find_track(store, stream, clip) for stream in dims}
        clock = find_clock(store, clip, dims)
        if clock is None and not any(ids.values()):
            return None
        if clock is None:
            raise UserError(
                f"{clip.id}: {store.root} has sound but no '{FACES}' or other visual track of it"
                f" that gives the frame times; run python -m features.extract on its video"
            )
        times, face = clock
        streams, valid = {}, {}
        for stream, dim in dims.items():
            path, valid[stream] = _on_clock(store, cache, stream, ids[stream], times, window)
            cached = path is not None and path.parent != store.root / stream
            streams[stream] = Rows(path, (len(times), dim), cached)
    return ClipStreams(streams, valid, times, face)


def _on_clock(
    store: TrackStore,
    cache: Path | None,
    stream: str,
    track_id: str | None,
    times: np.ndarray,
    window: float,
) -> tuple[Path | None, np.ndarray]:
    """A track with a token for each of the frame times, and its valid (F,)."""
    if track_id is None:
        return None, np.zeros(len(times), bool)
    path = store.path(stream, track_id)
    tokens, valid = read_clock(path)
    if same_clock(tokens, times):
        return path, valid
    name = f"{track_id}-{_cache_key(path, times, window)}"
    places = [cache] if cache else [store.root / CACHE, *own_caches(made=False)]
    for place in places:
        aligned = TrackStore(place).path(stream, name)
        mark_used(aligned)
        with suppress(FileNotFoundError, DamagedTrack):
            return aligned, read_clock(aligned)[1]
    made = _aligned(store.read(stream, track_id), times, window)
    try:
        sweep(places[0])
        aligned = TrackStore(places[0]).path(stream, name)
        write_track(made, aligned)
    except OSError as error:
        if cache or error.errno not in READ_ONLY:
            raise
        aligned = TrackStore(own_caches(made=True)[0]).path(stream, name)
        write_track(made, aligned)
    return aligned, made.valid


def _cache_key(path: Path, times: np.ndarray, window: float) -> str:
    """Fingerprint of all that an aligned track depends on."""
    clock = hashlib.sha256(times.tobytes()).hexdigest()
    return fingerprint([tracks_content([path]), clock], window, version=RULES)


def _aligned(track: FeatureTrack, times: np.ndarray, window: float) -> FeatureTrack:
    """A track on the frames' clock, in its own precision."""
    values, valid = align(track, times, window)
    return FeatureTrack(values.astype(track.values.dtype), times, valid, track.info)
