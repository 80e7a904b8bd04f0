"""Stills of faces as short films: a face that is tracked with some jitter, seen by the encoder.

Data flow: FER2013 with FER+ votes > stills whose two labels agree, as many of each expression >
several views of each (shift, scale, light, as tracking leaves them) > the `face` encoder > `Still`
> `film`: a walk between the views, a row a frame.

FER2013's test part takes no part; `CALIBRATE`'s pictures of its training part are for validation.

Letters: N stills, V views, F frames, D the embedding.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.kept import Cache
from experiments.pretraining.face.data import CALIBRATE, TRAIN, read_fer
from experiments.pretraining.face.views import random_views
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import EXPRESSIONS, WEIGHTS
from features.encoders.visual.face.model import load_face_model
from features.store.fingerprint import sha256_of

VIEWS = 4
JITTER = 0.5
"""Strength of the views: turns up to 7 degrees, shifts of a twentieth."""
AGREED = 0.25
"""Least share of FER+'s votes for FER2013's own label."""
PER_CLASS = 1000
"""Stills of an expression to train on, at most."""
STEPS = 6
"""Frames in which a face drifts from one view to the next."""
BATCH = 512


@dataclass(frozen=True)
class Stills:
    """Faces and what they show.

    Attributes:
        views: (N, V, D) float16, embeddings.
        label: (N,) of `EXPRESSIONS`.
        held_out: (N,) bool, for validation.
    """

    views: np.ndarray
    label: np.ndarray
    held_out: np.ndarray

    def of(self, label: int, *, held_out: bool) -> np.ndarray:
        """Which of them show an expression."""
        return np.flatnonzero((self.label == label) & (self.held_out == held_out))


def read_stills(data: Path, cache: Cache, seed: int = 0) -> Stills:
    """Stills of FER2013's training part; from the cache if they were read before."""
    files = [data / "fer2013/train.npz", data / "fer2013/ferplus_votes.npz", WEIGHTS]
    key = [sha256_of(*files), VIEWS, JITTER, AGREED, PER_CLASS, seed]
    return cache.get("base-stills", key, lambda: _read(data, seed))


def _read(data: Path, seed: int) -> Stills:
    faces, rng = read_fer(data, train=True), np.random.default_rng(seed)
    label = _agreed(faces["label"], faces["votes"])
    chosen: list[np.ndarray] = []
    for part, most in ((TRAIN, PER_CLASS), (CALIBRATE, len(label))):
        for expression in range(len(EXPRESSIONS)):
            rows = np.flatnonzero((label == expression) & (faces["part"] == part))
            chosen.append(rng.permutation(rows)[:most])
    rows = np.sort(np.concatenate(chosen))
    views = _encoded(faces["images"][rows], seed)
    return Stills(views, label[rows], faces["part"][rows] == CALIBRATE)


def _agreed(label: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """(N,) FER2013's label where enough of FER+'s raters agree; Other where most see contempt."""
    rows, other = np.arange(len(label)), len(EXPRESSIONS) - 1
    share = np.where(label >= 0, votes[rows, label], np.nan)
    agreed = np.where(share >= AGREED, label, -1)
    known = ~np.isnan(votes).any(axis=1)
    most = np.where(known, np.nan_to_num(votes).argmax(axis=1), -1)
    return np.where(most == other, other, agreed)


def _encoded(images: np.ndarray, seed: int) -> np.ndarray:
    """(N, V, D) float16 of pictures (N, 48, 48): the picture itself, then its other views."""
    generator = torch.Generator().manual_seed(seed)
    faces = scale_grey(torch.from_numpy(images[:, None]))
    views = [embedded(faces)]
    for _ in range(VIEWS - 1):
        parts = (random_views(part, generator, JITTER).faces for part in faces.split(BATCH))
        views.append(np.concatenate([embedded(part) for part in parts]))
    return np.stack(views, axis=1)


@torch.inference_mode()
def embedded(faces: Tensor) -> np.ndarray:
    """(N, D) float16 of faces (N, 1, 48, 48) in [-1, 1], as the `face` encoder embeds them."""
    model = load_face_model(WEIGHTS, "install the package anew")
    model = model.to(memory_format=torch.channels_last)
    parts = [
        model(part.contiguous(memory_format=torch.channels_last)) for part in faces.split(BATCH)
    ]
    return np.concatenate([part[""].numpy().astype(np.float16) for part in parts])


def film(views: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(F, D) float16: a face (V, D) that drifts from view to view."""
    stops = rng.integers(len(views), size=frames // STEPS + 3)
    at = (np.arange(frames) + rng.uniform(0, STEPS)) / STEPS
    before = at.astype(int)
    share = (at - before)[:, None].astype(np.float32)
    path = views[stops].astype(np.float32)
    return ((1 - share) * path[before] + share * path[before + 1]).astype(np.float16)
