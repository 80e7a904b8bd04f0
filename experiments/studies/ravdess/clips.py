"""RAVDESS's clips as numbers for linear models: tracks > mean and deviation of each stream.

Letters: N clips, T tokens, D features, H layers of Whisper, U units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from fusion.corpora.readers.ravdess import EMOTIONS
from fusion.tasks.clips import Clip
from fusion.tasks.emotions import Emotions


@dataclass(frozen=True)
class Moments:
    """Clips as linear models see them.

    Attributes:
        ids: N clips.
        labels: (N,) emotions, in the order of `EMOTIONS`.
        people: (N,) actors.
        sound: (N, 2 H D) mean and deviation over the tokens of each layer.
        units: (N, 2 U) square roots of the units, and the units.
    """

    ids: list[str]
    labels: np.ndarray
    people: np.ndarray
    sound: np.ndarray
    units: np.ndarray

    def by_person(self) -> "Moments":
        """Each person's clips scaled by their own mean and deviation: without labels, but theirs.

        Transductive where the clips are those that are told.
        """
        sound, units = (_scaled(x, self.people) for x in (self.sound, self.units))
        return Moments(self.ids, self.labels, self.people, sound, units)


def read_moments(root: Path, layers: Sequence[str], units: str) -> Moments:
    """Reads the tracks of the clips of a folder.

    Args:
        root: Corpus folder with `tracks`.
        layers: Streams of sound, one a layer.
        units: Stream of action units.

    Raises:
        UserError: If there is no clip, or one lacks a stream.
    """
    clips, store = read_corpus(root), TrackStore(root / "tracks")
    if not clips:
        raise UserError(f"{root}: no clip of RAVDESS; give its folder")
    sound = [np.concatenate([_moments(store, one, clip) for one in layers]) for clip in clips]
    means = np.stack([_moments(store, units, clip) for clip in clips])
    means = means[:, : means.shape[1] // 2].astype(np.float64)
    return Moments(
        ids=[clip.id for clip in clips],
        labels=np.array([_label(clip) for clip in clips]),
        people=np.array([clip.group for clip in clips]),
        sound=np.stack(sound),
        # Square roots spread the many small intensities, which the units' means are full of.
        units=np.hstack([np.sqrt(means.clip(0)), means]),
    )


def _moments(store: TrackStore, stream: str, clip: Clip) -> np.ndarray:
    """(2 D,) mean and deviation over the valid tokens of a clip."""
    if not store.has(stream, clip.id):
        raise UserError(f"{clip.id}: {store.root} lacks its '{stream}'; see configs/ravdess.yaml")
    track = store.read(stream, clip.id)
    rows = track.values[track.valid].astype(np.float32)
    return np.concatenate([rows.mean(0), rows.std(0)])


def _label(clip: Clip) -> int:
    own = clip.labels_on(np.zeros(1)).by_task[Emotions.name]
    return EMOTIONS.index(own.names[own.values[0]])


def _scaled(x: np.ndarray, people: np.ndarray) -> np.ndarray:
    out = x.astype(np.float64)
    for person in np.unique(people):
        own = out[people == person]
        deviation = own.std(0)
        out[people == person] = (own - own.mean(0)) / np.where(deviation > 1e-6, deviation, 1.0)
    return out
