"""Speech and a teacher's hidden states for distillation.

Data flow: speech.csv > clips at 16 kHz, padding cut off > log-mel by clip > packed into 30 s
> Whisper's encoder > hidden states, standardised > one file on disk.

Letters: N samples, T tokens, S teacher states, D dimensions of the teacher.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from transformers import WhisperFeatureExtractor, WhisperModel

RATE = 16000
HOP = 320
"""Samples from one token to the next, of the teacher and of the student."""
STATES = (2, 3, 4)
"""Teacher's hidden states to learn: after its second and third layer, and the last, normed."""
GAP = 10
"""Silent tokens between clips that share the teacher's 30 s."""


@dataclass(frozen=True)
class Speech:
    """Clips and what the teacher makes of them.

    Attributes:
        sounds: (N,) float32 of each clip.
        starts: First row of each clip in `targets`.
        targets: (T, S, D) float16, standardised over all clips; memory-mapped.
    """

    sounds: list[np.ndarray]
    starts: np.ndarray
    targets: np.ndarray

    def tokens(self, clip: int) -> int:
        """Tokens that both hear: the student's field of 400 samples leaves out the last."""
        return (len(self.sounds[clip]) - 400) // HOP + 1


def read_clips(folder: Path, split: str) -> list[np.ndarray]:
    """Sounds of one split (`train` or `valid`, apart by speaker), (N,) float32 each."""
    table = pd.read_csv(folder / "speech.csv")
    rows = table[table.split == split]
    return [
        without_padding(_read(folder / file)) if corpus == "emodb" else _read(folder / file)
        for file, corpus in zip(rows.file, rows.corpus, strict=True)
    ]


def _read(path: Path) -> np.ndarray:
    sound, rate = soundfile.read(path, dtype="float32")
    if rate != RATE:
        raise SystemExit(f"{path}: {rate} Hz; resample it to {RATE} Hz")
    return np.asarray(sound)


def without_padding(sound: np.ndarray) -> np.ndarray:
    """Cuts the digital silence that fills EmoDB's clips up to 2 s (a codec leaves a faint rest)."""
    loud = np.flatnonzero(np.abs(sound) > 0.002 * np.abs(sound).max())
    return sound[: loud[-1] + 1] if len(loud) else sound


def load_speech(folder: Path, teacher: Path, split: str, cache: Path) -> Speech:
    """Clips with targets, which are computed once and kept in `cache`."""
    sounds = [s for s in read_clips(folder, split) if len(s) >= RATE // 2]
    lengths = np.array([len(s) // HOP for s in sounds])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    done = cache / f"{split}.json"
    if not done.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _teach(sounds, starts, teacher, cache / f"{split}.npy")
        done.write_text(json.dumps({"clips": len(sounds), "tokens": int(starts[-1])}))
    if json.loads(done.read_text())["clips"] != len(sounds):
        raise SystemExit(f"{cache}: targets of other clips; remove it")
    return Speech(sounds, starts, np.load(cache / f"{split}.npy", mmap_mode="r"))


@torch.inference_mode()
def _teach(sounds: list[np.ndarray], starts: np.ndarray, teacher: Path, out: Path) -> None:
    """Writes the teacher's standardised states of all clips, (T, S, D) float16."""
    mel = WhisperFeatureExtractor.from_pretrained(teacher)
    encoder = WhisperModel.from_pretrained(teacher, dtype=torch.float32).encoder.eval()
    width = encoder.config.d_model
    shape = (int(starts[-1]), len(STATES), width)
    raw = np.lib.format.open_memmap(out, mode="w+", dtype=np.float16, shape=shape)
    groups = list(packed(sounds, limit=encoder.config.max_source_positions))
    for done, group in enumerate(groups):
        features, places = pack(mel, [sounds[i] for i in group])
        states = encoder(features, output_hidden_states=True).hidden_states
        chosen = torch.stack([states[k][0] for k in STATES], dim=1).numpy()
        for clip, place in zip(group, places, strict=True):
            count = starts[clip + 1] - starts[clip]
            raw[starts[clip] : starts[clip + 1]] = chosen[place : place + count]
        if done % 50 == 0:
            print(f"teacher: {done}/{len(groups)} pieces of 30 s", flush=True)
    _standardise(raw)
    raw.flush()


def packed(sounds: list[np.ndarray], limit: int) -> Iterator[list[int]]:
    """Clips in order, as many as fit into the teacher's 30 s; longer clips are left as they are."""
    group: list[int] = []
    used = 0
    for index, sound in enumerate(sounds):
        tokens = len(sound) // HOP + GAP
        if group and used + tokens > limit:
            yield group
            group, used = [], 0
        group.append(index)
        used += tokens
    yield group


def pack(mel: WhisperFeatureExtractor, sounds: list[np.ndarray]) -> tuple[torch.Tensor, list[int]]:
    """Log-mel of several clips one after another, (1, 80, 3000), and the first token of each.

    Each clip is scaled by its own loudest value, as it would be alone.
    """
    parts = [
        mel(s, sampling_rate=RATE, return_tensors="np", padding="do_not_pad").input_features[0]
        for s in sounds
    ]
    quiet = min(part.min() for part in parts)
    features = np.full((1, parts[0].shape[0], mel.nb_max_frames), quiet, np.float32)
    places, token = [], 0
    for part in parts:
        frames = min(part.shape[1], mel.nb_max_frames - 2 * token)
        features[0, :, 2 * token : 2 * token + frames] = part[:, :frames]
        places.append(token)
        token += part.shape[1] // 2 + GAP
    return torch.from_numpy(features), places


def _standardise(raw: np.ndarray, step: int = 20000) -> None:
    """Brings each state's dimensions to zero mean and unit variance over all tokens, in place."""
    total = np.zeros(raw.shape[1:])
    squares = np.zeros(raw.shape[1:])
    for start in range(0, len(raw), step):
        part = raw[start : start + step].astype(np.float64)
        total += part.sum(0)
        squares += (part**2).sum(0)
    mean = total / len(raw)
    deviation = np.sqrt(np.maximum(squares / len(raw) - mean**2, 1e-8))
    for start in range(0, len(raw), step):
        raw[start : start + step] = (raw[start : start + step] - mean) / deviation
