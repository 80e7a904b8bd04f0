"""Faces with random labels, as few as a test needs."""

import numpy as np

from experiments.pretraining.face.data import Faces


def made_faces(count: int) -> Faces:
    """Noise with labels of every kind, some of each absent."""
    rng = np.random.default_rng(0)
    smile = np.where(np.arange(count) % 5 == 0, np.arange(count) % 2, np.nan).astype(np.float32)
    votes = rng.dirichlet(np.ones(8), count).astype(np.float32)
    votes[::3] = np.nan
    shapes = rng.random((count, 52)).astype(np.float32)
    shapes[1::4] = np.nan
    return Faces(
        images=rng.integers(0, 256, (count, 48, 48)).astype(np.uint8),
        source=np.where(np.isfinite(smile), "genki", "fer"),
        part=np.arange(count) % 2,
        person=np.full(count, -1),
        label=np.arange(count) // 2 % 8 - 1,
        votes=votes,
        blendshapes=shapes,
        smile=smile,
        pose=np.where(np.isfinite(smile)[:, None], rng.normal(0, 10, (count, 3)), np.nan),
        copy=np.zeros(count, bool),
        teacher=np.log(rng.dirichlet(np.ones(7), count)).astype(np.float32),
        hint=rng.random((count, 256)).astype(np.float16),
    )
