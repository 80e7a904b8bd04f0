"""Which clips are trained on, validated on and tested on; what is said of those without tracks."""

import difflib
from collections.abc import Iterable, Sequence

from features.cli.wording import counted
from features.store.track_store import TrackStore
from fusion.data.folds import folds_of
from fusion.data.loading.config import DataSettings
from fusion.tasks.clips import Clip
from fusion.tasks.registry import Tasks

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def split_clips(
    clips: Sequence[Clip], settings: DataSettings, tasks: Tasks
) -> dict[str, list[Clip]]:
    """Clips of each split; with `settings.fold`, training and validation clips are dealt anew."""
    splits = {name: [c for c in clips if c.split == name] for name in (TRAIN, VALIDATION, TEST)}
    if settings.fold is None:
        return splits
    pool = splits[TRAIN] + splits[VALIDATION]
    held_out = set(folds_of(pool, settings.folds, tasks)[settings.fold].tolist())
    splits[TRAIN] = [clip for index, clip in enumerate(pool) if index not in held_out]
    splits[VALIDATION] = [clip for index, clip in enumerate(pool) if index in held_out]
    return splits


def origins(clips: Iterable[Clip]) -> str:
    """What the labels of clips are from."""
    return ", ".join(dict.fromkeys(clip.origin for clip in clips if clip.origin))


def why_empty(split: str, clips: Sequence[Clip], store: TrackStore, settings: DataSettings) -> str:
    """Why a split is empty, and the remedy."""
    if clips:
        return (
            f"{store.root} has no tracks of the {counted(len(clips), f'{split} clip')}"
            f"{_one_of_each(clips, store)}; run python -m features.extract on the corpus"
        )
    remedy = "; hold people out of the training clips with data.fold" if split == VALIDATION else ""
    return f"no {split} clips in {settings.root or 'the corpus'}{remedy or '; see data.root'}"


def _one_of_each(clips: Sequence[Clip], store: TrackStore) -> str:
    """One id of the labels and one of the tracks, the likest; empty without tracks."""
    ids = {track_id for stream in store.streams() for track_id in store.ids(stream)}
    small = {track_id.lower(): track_id for track_id in sorted(ids)}
    for clip in clips:
        if other := small.get(clip.id.lower()) or small.get(clip.video.lower()):
            return f": the labels say '{clip.id}', the tracks '{other}'; name both alike"
    first = min(clip.id for clip in clips)
    near = difflib.get_close_matches(first, ids, n=1, cutoff=0.0)
    return f": the labels have such as '{first}', the tracks such as '{near[0]}'" if near else ""
