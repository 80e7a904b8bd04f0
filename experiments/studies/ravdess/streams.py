"""What the models see of each clip: moments for linear ones, short sequences for AffectModel.

Data flow: corpus + what encoders heard > rows > [adapted to the person] > moments (N, D) and
sequences (N, T, D).

Letters: N clips (rows), T parts of a clip, D features, H layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from experiments.studies.ravdess.data import Corpus, Heard
from fusion.streams.adaptation import Kind
from fusion.streams.normalization import Moments, Normaliser
from fusion.streams.person_normalization import Past, RunningNormaliser

PARTS = 6
"""Equal parts that a clip is cut into: a little over half a second each."""
PRIOR = 10
"""Clips' worth of training statistics that the causal form counts as seen before the first."""
UNITS = "units"
"""Stream of the action units, one vector a clip, the same at each of its parts."""
MOMENTS = "moments"
"""Stream of the moments of the first audio encoder's layers, a vector a clip too."""
WHOLE = (UNITS, MOMENTS)
"""Streams with a vector a clip."""


_PER_CLIP = ("seen", "labels", "people", "folds")


@dataclass(frozen=True)
class Rows:
    """Clips as models see them.

    Attributes:
        moments: `MOMENTS` and `UNITS` to (N, D), numbers of whole clips.
        parts: Stream name to (N, T, D) float32: means over parts of the clip.
        seen: (N,) bool, whether there are action units.
        labels: (N,) emotions.
        people: (N,) actors.
        folds: (N,) folds.
        layer: Features of the moments of one layer of the first audio encoder.
    """

    moments: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    seen: np.ndarray
    labels: np.ndarray
    people: np.ndarray
    folds: np.ndarray
    layer: int

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: np.ndarray) -> "Rows":
        """The rows at these indices, or where a mask (N,) is true."""
        return Rows(
            {name: x[chosen] for name, x in self.moments.items()},
            {name: x[chosen] for name, x in self.parts.items()},
            **{name: getattr(self, name)[chosen] for name in _PER_CLIP},
            layer=self.layer,
        )


def make_rows(corpus: Corpus, heard: Mapping[str, Heard]) -> Rows:
    """Rows of a corpus; the first of the encoders also gives `MOMENTS`."""
    # Square roots spread the many small intensities, which the units' means are full of.
    units = np.hstack([np.sqrt(corpus.units.clip(0)), corpus.units])
    moments = {name: one.moments.reshape(len(one.moments), -1) for name, one in heard.items()}
    parts = {name: cut(one) for name, one in heard.items()}
    whole = {UNITS: units, MOMENTS: next(iter(moments.values()))}
    return Rows(
        moments={MOMENTS: next(iter(moments.values())), UNITS: units.astype(np.float64)},
        parts=parts | {name: _repeated(x) for name, x in whole.items()},
        seen=corpus.seen,
        labels=corpus.labels,
        people=corpus.actors,
        folds=corpus.folds,
        layer=next(iter(heard.values())).moments.shape[2],
    )


def _repeated(x: np.ndarray) -> np.ndarray:
    """(N, D) to (N, T, D), a view."""
    return np.broadcast_to(x.astype(np.float32)[:, None], (len(x), PARTS, x.shape[1]))


def joined(several: Sequence[Rows]) -> Rows:
    """All rows as one."""
    first = several[0]
    return Rows(
        {name: np.concatenate([one.moments[name] for one in several]) for name in first.moments},
        {name: np.concatenate([one.parts[name] for one in several]) for name in first.parts},
        **{f: np.concatenate([getattr(one, f) for one in several]) for f in _PER_CLIP},
        layer=first.layer,
    )


def cut(heard: Heard) -> np.ndarray:
    """(N, T, H D) float32: all layers' means over equal parts of each clip."""
    count, layers, _, size = heard.segments.shape
    out = np.zeros((count, PARTS, layers * size), np.float32)
    for row, segments, length in zip(out, heard.segments, heard.lengths, strict=True):
        borders = np.linspace(0, length, PARTS + 1)
        for part in range(PARTS):
            first = min(int(borders[part]), length - 1)
            last = max(int(np.ceil(borders[part + 1])), first + 1)
            row[part] = segments[:, first:last].astype(np.float32).mean(1).ravel()
    return out


def adapted(rows: Rows, kind: Kind, train: np.ndarray) -> Rows:
    """Rows whose streams are scaled by their people's own unlabelled clips.

    Args:
        rows: All that are at hand, those to be predicted among them.
        kind: `person`: all clips of the person; `causal`: those up to the present one, in an order
            drawn by chance, as files are sorted by emotion; `none`: left as they are.
        train: (N,) bool, rows whose statistics the causal form starts from.
    """
    if kind == "none":
        return rows
    moments = {
        name: _by_person(x[:, None], rows, kind, train, _valid(rows, name))[:, 0].astype(np.float64)
        for name, x in rows.moments.items()
    }
    parts = {
        name: _by_person(x, rows, kind, train, _valid(rows, name)) for name, x in rows.parts.items()
    }
    return replace(rows, moments=moments, parts=parts)


def _valid(rows: Rows, stream: str) -> np.ndarray:
    """(N,) bool: clips that have the stream."""
    return rows.seen if stream == UNITS else np.ones(len(rows), bool)


def _by_person(
    x: np.ndarray, rows: Rows, kind: Kind, train: np.ndarray, valid: np.ndarray
) -> np.ndarray:
    """(N, T, D) scaled; clips that are not valid are left out of the statistics and zero."""
    corpus = _normaliser(x[train & valid])
    out = np.zeros(x.shape, np.float32)
    for person in np.unique(rows.people):
        own = np.flatnonzero((rows.people == person) & valid)
        if kind == "person":
            scaler = _normaliser(x[own])
            values = torch.from_numpy(x[own])
            out[own] = scaler.apply(values, torch.ones(values.shape[:2], dtype=torch.bool)).numpy()
            continue
        own = np.random.default_rng(person).permutation(own)
        out[own] = _running(x[own], corpus)
    return out


def _running(session: np.ndarray, corpus: Normaliser) -> np.ndarray:
    """Clips (n, T, D) of one person in turn, each frame scaled by those up to it."""
    count, frames, size = session.shape
    past = Past(PRIOR * frames, torch.zeros(size), torch.ones(size))
    flat = torch.from_numpy(session.reshape(1, -1, size))
    valid = torch.ones(flat.shape[:2], dtype=torch.bool)
    scaled = RunningNormaliser(corpus, {0: past}).apply(flat, valid, 0)
    return scaled.numpy().reshape(count, frames, size)


def _normaliser(x: np.ndarray) -> Normaliser:
    """Mean and deviation of all frames of (n, T, D)."""
    moments = Moments(x.shape[-1])
    moments.add(x.reshape(-1, x.shape[-1]))
    return moments.normaliser()
