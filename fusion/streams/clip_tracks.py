"""Which tracks of a store belong to a clip, and which of them gives its frame times.

Letters: F frames, T tokens, D feature dimensions.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from features.cli.wording import counted
from features.errors import UserError
from features.store.feature_track import SOUND, DamagedTrack, TrackInfo
from features.store.track_store import TrackStore
from fusion.abaw.reading.layout import video_of
from fusion.streams.alignment import is_clip_level
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels

FACES = "faces"
"""Stream whose times are the frame clock and whose `valid` says where the face was seen."""
SOUND_RATE = 25.0
"""Frames a second of sound that has no pictures."""


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
    with opened(path) as file:
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


def find_clock(
    store: TrackStore, clip: Clip, streams: Iterable[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Frame times (F,) of a clip and where the person was seen (F,); None if no track tells.

    The person's own `faces` before all, then a stream with a token a frame of this very person.
    Somebody whom extraction did not tell apart from the other has the video's frames, unseen.
    Sound that has no pictures is cut into frames of its own, `SOUND_RATE` a second.
    """
    for stream in (FACES, *streams):
        if store.has(stream, clip.id) and not _is_shared(store.info(stream, clip.id)):
            return read_clock(store.path(stream, clip.id))
    if store.has(FACES, clip.video):
        times, _ = read_clock(store.path(FACES, clip.video))
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
            if find_clock(store, clip, streams) is None:
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
        clips.append(Clip(name, video, "test", FrameLabels(0), name))
    return clips


def read_clock(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and valid (T,) of a track, without its values."""
    with opened(path) as file:
        return file.get_tensor("times"), file.get_tensor("valid")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open track file; what is wrong with it becomes DamagedTrack."""
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise DamagedTrack(f"{path}: {error}") from error
