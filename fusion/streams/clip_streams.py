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
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from features.cli.wording import counted
from features.errors import UserError
from features.store.feature_track import SOUND, DamagedTrack, FeatureTrack, TrackInfo, write_track
from features.store.fingerprint import fingerprint, tracks_content
from features.store.track_store import TrackStore
from fusion.abaw.reading.layout import video_of
from fusion.streams.alignment import align, is_clip_level, same_clock
from fusion.streams.cache import READ_ONLY, mark_used, own_caches, sweep
from fusion.tasks.labels import Clip, FrameLabels

FACES = "faces"
"""Stream whose times are the frame clock and whose `valid` says where the face was seen."""
SOUND_RATE = 25.0
"""Frames a second of sound that has no pictures."""
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
        with explained(), _opened(self.path) as file:
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
        clock = _find_clock(store, clip, dims)
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


def find_track(store: TrackStore, stream: str, clip: Clip) -> str | None:
    """Id of the track of a stream that belongs to a clip, None if there is none.

    Sound and clip-level tracks of a video belong to all its people; other tracks to one alone.
    """
    if store.has(stream, clip.id):
        return clip.id
    if store.has(stream, clip.video) and _is_shared(store.info(stream, clip.video)):
        return clip.video
    return None


def clip_tracks(store: TrackStore, clip: Clip, streams: Iterable[str]) -> list[Path]:
    """Files that `load_clip` reads of a clip, and those that it looks for in vain."""
    ids = {stream: find_track(store, stream, clip) for stream in streams}
    clocks = [store.path(FACES, name) for name in dict.fromkeys((clip.id, clip.video))]
    return clocks + [store.path(stream, ids[stream] or clip.id) for stream in ids]


def read_dim(path: Path) -> int:
    """D of a track, from its header."""
    with _opened(path) as file:
        return int(file.get_slice("values").get_shape()[1])


@contextmanager
def explained() -> Iterator[None]:
    """Turns a damaged track into a UserError that says what to do."""
    try:
        yield
    except DamagedTrack as error:
        raise UserError(
            f"damaged track {' '.join(str(error).split())}; run python -m features.extract again"
        ) from error


def _is_shared(info: TrackInfo) -> bool:
    return info.person == SOUND or is_clip_level(info)


def _find_clock(
    store: TrackStore, clip: Clip, streams: Iterable[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Frame times (F,) of a clip and where the person was seen (F,); None if no track tells.

    The person's own `faces` before all, then a stream with a token a frame of this very person.
    Somebody whom extraction did not tell apart from the other has the video's frames, unseen.
    Sound that has no pictures is cut into frames of its own, `SOUND_RATE` a second.
    """
    for stream in (FACES, *streams):
        if store.has(stream, clip.id) and not _is_shared(store.info(stream, clip.id)):
            return _read_clock(store.path(stream, clip.id))
    if store.has(FACES, clip.video):
        times, _ = _read_clock(store.path(FACES, clip.video))
        return times, np.zeros(len(times), bool)
    for stream in streams:
        if seconds := _seconds_alone(store, stream, clip.video):
            times = sound_clock(seconds)
            return times, np.zeros(len(times), bool)
    return None


def _seconds_alone(store: TrackStore, stream: str, track_id: str) -> float:
    """Length of the sound that a track was made of, if it is all there is of its source; else 0."""
    return store.info(stream, track_id).duration if store.has(stream, track_id) else 0.0


def sound_clock(seconds: float) -> np.ndarray:
    """Frame times (F,) of sound without pictures, from its start until it ends."""
    return np.arange(max(math.ceil(round(seconds * SOUND_RATE, 6)), 1)) / SOUND_RATE


def clip_ids(store: TrackStore) -> list[str]:
    """Everybody in a store who can be predicted: who has faces, and sound without pictures."""
    seen = set(store.ids(FACES))
    with explained():
        heard = {
            name
            for stream in store.streams()
            for name in set(store.ids(stream)) - seen
            if _seconds_alone(store, stream, name)
        }
    return sorted(seen | heard)


def require_tracks(store: TrackStore, clips: Iterable[Clip], streams: Sequence[str]) -> None:
    """Checks that all clips can be predicted.

    Raises:
        UserError: If not; names all clips without any track, and all without frame times.
    """
    without: list[str] = []
    timeless: list[str] = []
    with explained():
        for clip in clips:
            if _find_clock(store, clip, streams) is None:
                there = any(find_track(store, stream, clip) for stream in streams)
                (timeless if there else without).append(clip.id)
    lacks = {
        "no tracks": without,
        "sound but no pictures that give the frame times": timeless,
    }
    if said := [
        f"{what} of {counted(len(ids), 'listed id')}: {', '.join(ids)}"
        for what, ids in lacks.items()
        if ids
    ]:
        raise UserError(
            f"{store.root}: {'; '.join(said)}; run python -m features.extract on the test videos"
        )


def clips_of(store: TrackStore, ids: Iterable[str]) -> list[Clip]:
    """Clips without labels of the given ids, each of the video that its tracks name.

    An id without tracks is of a person whom extraction did not tell apart, if its video has some:
    `12_left` of `12`.
    """
    clips = []
    for name in ids:
        with explained():
            known = store.told(name) or store.told(video_of(name))
        video = known.video if known else name
        clips.append(Clip(name, video, "test", FrameLabels.empty(0), name))
    return clips


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
    tokens, valid = _read_clock(path)
    if same_clock(tokens, times):
        return path, valid
    name = f"{track_id}-{_cache_key(path, times, window)}"
    places = [cache] if cache else [store.root / CACHE, *own_caches(made=False)]
    for place in places:
        aligned = TrackStore(place).path(stream, name)
        mark_used(aligned)
        with suppress(FileNotFoundError, DamagedTrack):
            return aligned, _read_clock(aligned)[1]
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


def _read_clock(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and valid (T,) of a track, without its values."""
    with _opened(path) as file:
        return file.get_tensor("times"), file.get_tensor("valid")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open track file; what is wrong with it becomes DamagedTrack."""
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise DamagedTrack(f"{path}: {error}") from error
