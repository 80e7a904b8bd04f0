"""What the packaged model is judged on: faces, voices and one actor's films that it has not seen.

Data flow: FER2013's test pictures, CK+, the held-out voices, RAVDESS's actor 01 > a store of tracks
for each, and what each clip shows.

Nobody in them was trained on. The held-out voices chose the epoch and the temperature, so theirs
are not quite clean; actor 01's films, FER2013's test part and CK+ chose nothing.

Letters: N clips, F frames.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from experiments.kept import Cache
from experiments.pretraining.base.corpus import STREAM, settings_of_real_faces
from experiments.pretraining.base.faces import embedded
from experiments.pretraining.face.data import read_fer
from experiments.pretraining.probe_data import read_actor, read_ck, require
from features.encoders.base import Description
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import EXPRESSIONS, FaceEncoder, FaceEncoderSettings
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.feature_track import MAIN, FeatureTrack, TrackInfo
from features.store.track_store import TrackStore

SIDES = (48, 24, 16)
"""Pixels that FER2013's pictures are wide, or are made before they are enlarged again."""
PICTURES = 1000
"""Of FER2013's test part, drawn."""
LEAST_VOTES = 0.5
"""Share of FER+'s votes that a test picture's most voted expression must have."""

STEP = 0.04
"""Seconds from one picture of a sequence to the next."""


@dataclass(frozen=True)
class Judged:
    """A set of clips.

    Attributes:
        name: Of the set.
        store: Their tracks.
        ids: N clips.
        labels: (N,) of `EXPRESSIONS`.
        people: (N,) numbers of people; each picture is its own where nobody is known.
    """

    name: str
    store: TrackStore
    ids: list[str]
    labels: np.ndarray
    people: np.ndarray


def read_judged(data: Path, corpus: Path, out: Path, cache: Cache) -> Iterator[Judged]:
    """The sets, their tracks made where they are not there."""
    for side in SIDES:
        yield _pictures(data, out / f"fer{side}", side)
    yield _ck(data, out / "ck")
    yield from _voices(corpus)
    yield _actor(data, out / "actor01", cache)


def _pictures(data: Path, out: Path, side: int) -> Judged:
    """FER2013's test pictures, without copies, of which most of FER+'s raters say one thing."""
    faces = read_fer(data, train=False)
    votes = np.nan_to_num(faces["votes"])
    rows = np.flatnonzero((votes.max(axis=1) > LEAST_VOTES) & ~faces["copy"])
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:PICTURES])
    labels = votes.argmax(axis=1)[rows]
    ids = [f"fer_{row:05d}" for row in rows]
    images, each = (
        np.stack([_small(one, side) for one in faces["images"][rows]]),
        np.arange(len(rows)),
    )
    return _framed(f"FER+ test, {side} px", ids, images, each, labels, each, out)


def _small(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture (48, 48) as it looks if the face was `side` pixels wide."""
    less = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(less, picture.shape, interpolation=cv2.INTER_LINEAR)


def _ck(data: Path, out: Path) -> Judged:
    """CK+48: three frames of each sequence are a clip; contempt is Other."""
    ck = read_ck(data)[0]
    labels = np.where(ck.labels < 0, len(EXPRESSIONS) - 1, ck.labels)
    _, first, group = np.unique(ck.groups, return_index=True, return_inverse=True)
    ids = [f"ck_{n:03d}" for n in range(len(first))]
    return _framed("CK+48", ids, ck.faces, group, labels[first], ck.people[first], out)


def _framed(
    name: str,
    ids: list[str],
    images: np.ndarray,
    group: np.ndarray,
    labels: np.ndarray,
    people: np.ndarray,
    out: Path,
) -> Judged:
    """Clips of grey pictures in FER2013's framing, those of one group one after another."""
    store = TrackStore(out)
    if len(store.ids(STREAM)) < len(ids):
        _write(store, ids, embedded(scale_grey(torch.from_numpy(images[:, None]))), group)
    return Judged(name, store, ids, labels, people)


def _voices(corpus: Path) -> Iterator[Judged]:
    """The held-out voices of each corpus, without faces."""
    with require(corpus / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["split"] == "validation"
            and row["expression"]
            and not row["id"].startswith(("pair", "face_"))
        ]
    for name in sorted({row["id"].split("_")[0] for row in rows}):
        own = [row for row in rows if row["id"].startswith(f"{name}_")]
        labels = np.array([EXPRESSIONS.index(row["expression"]) for row in own])
        people = np.unique([row["person"] for row in own], return_inverse=True)[1]
        store = TrackStore(corpus / "tracks")
        yield Judged(f"{name}, held-out voices", store, [r["id"] for r in own], labels, people)


def _actor(data: Path, out: Path, cache: Cache) -> Judged:
    """RAVDESS's actor 01: 19 frames evenly over each film, and the film's sound."""
    actor, store = read_actor(data, cache), TrackStore(out)
    with np.load(require(data / "ravdess/faces_actor01.npz")) as z:
        names = [str(name) for name in z["clips"]]
    sounds = [data / f"ravdess/audio/Actor_01/03{name[2:]}.flac" for name in names]
    if len(store.ids("wav2vec2")) < len(names):
        folder = out.with_name("actor01_sound")
        folder.mkdir(parents=True, exist_ok=True)
        for name, sound in zip(names, sounds, strict=True):
            link = folder / f"{name}.flac"
            link.unlink(missing_ok=True)
            link.symlink_to(require(sound).resolve())
        source = SourceSettings(root=folder, store=out)
        extract(ExtractSettings(data=source, encoders=["wav2vec2", "speech"], workers="0"))
    if len(store.ids(STREAM)) < len(names):
        seconds = [store.read("wav2vec2", name).times[-1] for name in names]
        encoder = FaceEncoder()
        values = np.concatenate(
            [encoder.encode_faces(p)[STREAM] for p in np.array_split(actor.faces, len(names))]
        )
        _write(store, names, values, actor.groups, seconds)
    labels = actor.labels[np.unique(actor.groups, return_index=True)[1]]
    return Judged("RAVDESS actor 01", store, names, labels, np.zeros(len(names), int))


def _write(
    store: TrackStore,
    ids: list[str],
    values: np.ndarray,
    group: np.ndarray,
    seconds: Sequence[float] = (),
) -> None:
    """The rows of each group as a clip's track, over so many seconds; by default `STEP` a frame."""
    description: Description = FaceEncoder.describe(FaceEncoderSettings())
    settings = settings_of_real_faces(store, description)
    lengths = seconds or [STEP * (np.sum(group == number) - 1) for number in range(len(ids))]
    for number, (name, lasts) in enumerate(zip(ids, lengths, strict=True)):
        rows = values[group == number]
        times = np.linspace(0, lasts, len(rows))
        own = (description.name, description.revision, settings, "0" * 64, len(rows))
        info = TrackInfo(name, MAIN, STREAM, *own)
        valid = np.ones(len(rows), bool)
        store.write(FeatureTrack(rows.astype(np.float16), times, valid, info))
