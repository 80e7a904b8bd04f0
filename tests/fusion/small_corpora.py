"""Small corpora of tracks and labels made by hand, for the tests of the data side."""

import numpy as np
import torch

from features.store.feature_track import MAIN, SOUND, FeatureTrack, TrackInfo
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.streams.normalization import Normaliser
from fusion.tasks.clips import Clip
from tests.fusion.classic import empty_labels

DIMS = {"face": 4, "voice": 3}


def put(store, stream, video, times, values=None, person=MAIN, valid=None, **info):
    """Writes a track; by default every row holds its own time."""
    times = np.asarray(times, np.float64)
    if values is None:
        values = np.repeat(times[:, None], DIMS.get(stream, 2), 1)
    valid = np.ones(len(times), bool) if valid is None else valid
    header = {"encoder": "net", "revision": "r1", "settings": "s1", "source": "x"} | info
    track = FeatureTrack(
        np.asarray(values, np.float32), times, valid, TrackInfo(video, person, stream, **header)
    )
    return store.write(track)


def labels(frames):
    """Every row's valence is its own number; rows 3, 13, ... are not valid."""
    made = empty_labels(frames)
    made.va[:, 0] = np.arange(frames)
    made.va_mask[:] = np.arange(frames) % 10 != 3
    made.expr[:] = np.arange(frames) % 8
    made.expr_mask[:] = True
    return made


def clip(name, split="train", frames=0, video=None, group=None):
    return Clip(name, video or name, split, labels(frames), group or name)


def put_video(store, video, frames, fps=30.0, late=0.0):
    """`faces` and `face` on the frames, `voice` at 50 tokens a second."""
    clock = np.arange(frames) / fps
    put(store, "faces", video, clock)
    put(store, "face", video, clock)
    tokens = np.arange(int(frames / fps * 50)) * 0.02 + 0.01 + late
    put(store, "voice", video, tokens, person=SOUND)


def module(clips, store, *, seed=0, specs=None, normalisers=None, **settings):
    cut = {"streams": ["face", "voice"], "window": 20, "stride": 15, "batch": 3} | settings
    return AffectDataModule(
        clips, store, DataSettings(**cut), seed=seed, specs=specs, normalisers=normalisers
    )


def identity(dims=DIMS):
    return {name: Normaliser(torch.zeros(dim), torch.ones(dim)) for name, dim in dims.items()}
