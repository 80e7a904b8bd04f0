"""RAVDESS in small: a folder of its layout, an encoder of a few numbers, and ready-made rows."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from experiments.studies.ravdess.model import ClipSettings
from experiments.studies.ravdess.streams import MOMENTS, PARTS, UNITS, Rows
from features.encoders.base import Tokens
from fusion.model.settings import ModelSettings

COLUMNS = ["AU01_r", "AU02_r", "AU01_c", "AU02_c"]


class Ear:
    """An encoder of four numbers a token: magnitudes at 100, 200, 400 and 800 Hz."""

    name, revision, settings = "ear", "1", {"a": 1}

    def __init__(self):
        self.heard = 0

    def encode_sound(self, blocks, dtype=np.float32):
        self.heard += 1
        sound = np.concatenate(list(blocks))
        tokens = sound[: len(sound) // 320 * 320].reshape(-1, 320)
        power = np.abs(np.fft.rfft(tokens))[:, [2, 4, 8, 16]]
        return Tokens({"ear": power.astype(np.float32)}, np.arange(len(tokens)) * 0.02)


def write_folder(root: Path, actors=(1, 2, 3, 4), clips=2, lacking=()) -> Path:
    rng, rows, units = np.random.default_rng(actors[0]), [], []
    for actor in actors:
        for emotion in range(1, 9):
            for take in range(clips):
                name = f"03-01-{emotion:02d}-01-01-{take + 1:02d}-{actor:02d}"
                rows.append([name, f"{actor:02d}", emotion, actors.index(actor) % 2])
                path = root / "audio" / f"Actor_{actor:02d}" / f"{name}.flac"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, _tone(emotion, rng), 16000)
                if name not in lacking:
                    told = [emotion % 2 * 3, emotion % 4, emotion % 2, emotion % 3 / 2]
                    units.append([name, *np.abs(told + 0.1 * rng.normal(size=4))])
    write_table(root / "labels.csv", ["clip", "actor", "emotion_code", "fold"], rows)
    write_table(root / "openface_au_clipmean.csv", ["clip", *COLUMNS], units)
    return root


def _tone(emotion, rng):
    time = np.arange(6400 + 320 * int(rng.integers(5))) / 16000
    loud = [0.3 if emotion >> bit & 1 else 0.02 for bit in range(4)]
    tones = zip(loud, (100, 200, 400, 800), strict=True)
    wave = sum(a * np.sin(2 * np.pi * f * time) for a, f in tones)
    return (0.5 * wave + 0.01 * rng.normal(size=len(time))).clip(-1, 1)


def write_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def blobs(seed=0, people=4, each=8) -> Rows:
    """Clips whose sound and units tell the emotion."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(8), people * each // 8)
    spread_out = np.eye(8)[labels] * 8 + rng.normal(size=(len(labels), 8))
    parts = np.repeat(spread_out[:, None], PARTS, axis=1).astype(np.float32)
    return Rows(
        moments={MOMENTS: spread_out, UNITS: spread_out[:, :4]},
        parts={"ear": parts, UNITS: parts[..., :4].copy()},
        seen=np.ones(len(labels), bool),
        labels=labels,
        people=np.repeat(np.arange(people), each),
        folds=np.repeat(np.arange(people), each),
        layer=8,
    )


SMALL = ClipSettings(
    streams=("ear", UNITS),
    model=ModelSettings(
        dim=16,
        stream_dim=8,
        tcn_levels=0,
        temporal={"name": "transformer", "layers": 1, "heads": 2, "stride": 1},
    ),
    epochs=12,
    batch=8,
    noise=0.1,
)
