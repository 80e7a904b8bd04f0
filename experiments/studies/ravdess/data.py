"""RAVDESS's clips as numbers: a folder of sound, labels and action units > encoders > `Clips`.

Data flow: labels.csv + openface_au_clipmean.csv + audio/ > Whisper and wav2vec2, each heard once
and kept on disk, a file an actor > segments of a tenth of a second, and means and deviations over
whole clips.

Letters: N clips, S segments of a clip, T tokens, H layers of an encoder, D features, U units.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from torch import nn

from experiments.kept import Cache
from features.cli.progress import ProgressReport
from features.encoders.audio.wav2vec2 import Wav2Vec2Encoder
from features.encoders.audio.whisper import WhisperEncoder, WhisperSettings
from features.errors import UserError
from features.store.fingerprint import sha256_of

RATE = 16000
SEGMENT = 5
"""Tokens of a segment, of which a second has fifty."""
LONGEST = 30.0
"""Seconds up to which Whisper hears a clip in one piece."""
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""In the order of RAVDESS's codes, from 1."""
COLUMNS = ("clip", "actor", "emotion_code")
"""Columns that labels.csv must have; `fold` is needed for folds only."""


@dataclass(frozen=True)
class Corpus:
    """What a folder says of its clips, before anything is heard.

    Attributes:
        root: The folder.
        names: N clips.
        labels: (N,) emotions, 0 to 7.
        actors: (N,) the actor's number.
        folds: (N,) fold, -1 where the table has none.
        units: (N, U) float32, the clip's mean of each action unit; zeros without a row.
        seen: (N,) bool, whether there is a row of units.
    """

    root: Path
    names: list[str]
    labels: np.ndarray
    actors: np.ndarray
    folds: np.ndarray
    units: np.ndarray
    seen: np.ndarray

    def path(self, clip: int | np.integer[Any]) -> Path:
        """Sound of a clip."""
        return self.root / "audio" / f"Actor_{self.actors[clip]:02d}" / f"{self.names[clip]}.flac"


@dataclass(frozen=True)
class Heard:
    """What an encoder says of N clips.

    Attributes:
        segments: (N, H, S, D) float16, means over `SEGMENT` tokens; zeros after a clip's end.
        lengths: (N,) segments of each clip.
        moments: (N, H, 2 D) float32, mean and deviation over all tokens.
    """

    segments: np.ndarray
    lengths: np.ndarray
    moments: np.ndarray


def read_corpus(root: Path) -> Corpus:
    """Reads the tables of a folder and sees that each clip's sound is there.

    Raises:
        UserError: If a file or column is missing, or a number is none.
    """
    rows = _read_table(root / "labels.csv", COLUMNS)
    units = {row["clip"]: row for row in _read_table(root / "openface_au_clipmean.csv", ("clip",))}
    columns = [name for name in next(iter(units.values())) if name != "clip"]
    try:
        corpus = Corpus(
            root=root,
            names=[row["clip"] for row in rows],
            labels=np.array([int(row["emotion_code"]) - 1 for row in rows]),
            actors=np.array([int(row["actor"]) for row in rows]),
            folds=np.array([int(row.get("fold") or -1) for row in rows]),
            units=np.array(
                [[float(units.get(row["clip"], {}).get(c, 0)) for c in columns] for row in rows],
                np.float32,
            ),
            seen=np.array([row["clip"] in units for row in rows]),
        )
    except (ValueError, TypeError) as error:  # no number, or a row that is too short
        raise UserError(f"{root}: a table holds what is no number ({error}); mend it") from error
    if not ((corpus.labels >= 0) & (corpus.labels < len(EMOTIONS))).all():
        raise UserError(f"{root / 'labels.csv'}: emotion_code must lie between 1 and 8")
    if not np.isfinite(corpus.units).all():
        raise UserError(f"{root / 'openface_au_clipmean.csv'}: must hold finite numbers; mend it")
    for clip in range(len(rows)):
        if not corpus.path(clip).is_file():
            raise UserError(f"{corpus.path(clip)}: absent, though labels.csv names it")
    return corpus


def make_encoders(whisper: Path | None) -> dict[str, Any]:
    """The audio encoders by name; Whisper only if its folder is given.

    Raises:
        UserError: If that folder is not there.
    """
    if whisper is not None and not whisper.is_dir():
        raise UserError(f"{whisper}: no such folder; give that of Whisper's encoder by --whisper")
    encoders: dict[str, Any] = {"wav2vec2": Wav2Vec2Encoder()}
    if whisper is not None:
        encoders = {"whisper": WhisperEncoder(WhisperSettings(model=str(whisper)))} | encoders
    return encoders


def hear(corpus: Corpus, encoder: Any, folder: Path) -> Heard:
    """What an encoder says of all clips; actors that were heard before are read from `folder`."""
    cache, parts = Cache(folder), []
    actors = np.unique(corpus.actors)
    with ProgressReport(encoder.name, len(actors)) as progress:
        for actor in actors:
            clips = np.flatnonzero(corpus.actors == actor)
            paths = [corpus.path(clip) for clip in clips]
            key = [sha256_of(*paths), encoder.revision, encoder.settings, SEGMENT]
            name = f"{encoder.name}-actor{actor:02d}"
            parts.append(cache.get(name, key, partial(_hear, paths, encoder)))
            progress.step(f"actor {actor}")
    order = np.concatenate([np.flatnonzero(corpus.actors == actor) for actor in actors])
    return _joined(parts, np.argsort(order))


def layers_of(encoder: Any, sound: np.ndarray) -> np.ndarray:
    """(H, T, D): hidden states from the first layer on; the tokens of an encoder without any."""
    states: list[Any] = []

    def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
        if getattr(output, "hidden_states", None):
            states.append(output.hidden_states)

    networks = [part for part in vars(encoder).values() if isinstance(part, nn.Module)]
    hooks = [network.register_forward_hook(keep) for network in networks]
    tokens = next(iter(encoder.encode_sound([sound]).values.values()))
    for hook in hooks:
        hook.remove()
    if not states:
        return np.asarray(tokens)[None]
    return np.stack([state[0, : len(tokens)].cpu().numpy() for state in states[0][1:]])


def _hear(paths: Sequence[Path], encoder: Any) -> dict[str, np.ndarray]:
    segments, moments = [], []
    for path in paths:
        layers = layers_of(encoder, _read_sound(path))
        cuts = np.arange(0, layers.shape[1], SEGMENT)
        sizes = np.diff([*cuts, layers.shape[1]])
        segments.append(np.add.reduceat(layers, cuts, axis=1) / sizes[:, None])
        moments.append(np.concatenate([layers.mean(1), layers.std(1)], axis=1))
    return _padded(segments) | {"moments": np.stack(moments).astype(np.float32)}


def _padded(segments: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays (H, s, D) as one, with zeros after the end of each."""
    lengths = np.array([part.shape[1] for part in segments])
    count, _, size = segments[0].shape
    out = np.zeros((len(segments), count, lengths.max(), size), np.float16)
    for row, part in zip(out, segments, strict=True):
        row[:, : part.shape[1]] = part
    return {"segments": out, "lengths": lengths}


def _joined(parts: Sequence[dict[str, np.ndarray]], order: np.ndarray) -> Heard:
    """The actors' parts in the order of the corpus."""
    most = max(part["segments"].shape[2] for part in parts)
    padded = [
        np.pad(part["segments"], [(0, 0), (0, 0), (0, most - part["segments"].shape[2]), (0, 0)])
        for part in parts
    ]
    lengths, moments = (np.concatenate([p[name] for p in parts]) for name in ("lengths", "moments"))
    return Heard(np.concatenate(padded)[order], lengths[order], moments[order])


def _read_sound(path: Path) -> np.ndarray:
    """(samples,) float32."""
    try:
        sound, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: cannot be read ({error}); copy it anew") from error
    if rate != RATE or sound.ndim != 1:
        raise UserError(f"{path}: must be mono at {RATE} Hz, not {sound.shape} at {rate} Hz")
    if not 0.1 <= len(sound) / RATE <= LONGEST:
        raise UserError(f"{path}: {len(sound) / RATE:.1f} s; clips last from .1 to 30 s")
    return np.asarray(sound)


def _read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file; UserError if it is absent, empty or lacks a column."""
    if not path.is_file():
        raise UserError(f"{path}: absent; give a folder with labels.csv, audio/ and the units")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lacking = [name for name in columns if not rows or name not in rows[0]]
    if lacking:
        raise UserError(f"{path}: no rows, or no column {', '.join(lacking)}; mend the table")
    return rows
