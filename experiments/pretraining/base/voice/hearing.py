"""What encoders say of whole voices: tokens > a row of numbers a clip, kept on disk.

Data flow: sound > encoder > hidden states, each layer's and their mean (the stream) > mean and
deviation over tokens. Prosody's pitch counts where it is voiced.

Letters: N clips, H layers, T tokens, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import WhisperFeatureExtractor, WhisperModel

from experiments.kept import Cache
from experiments.pretraining.base.voices import RATE, Voice
from experiments.pretraining.distil_data import HOP, pack, packed, without_padding
from features.cli.progress import ProgressReport
from features.encoders.audio.prosody import ProsodyEncoder
from features.encoders.audio.wav2vec2 import Wav2Vec2Encoder
from features.store.fingerprint import sha256_of

BATCH = 200
"""Clips of a mixed batch."""
VERSION = 1
"""Raise this when a change of the code changes the numbers."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Row = dict[str, np.ndarray]
"""Name to (features,)."""
Rows = dict[str, np.ndarray]
"""Name to (N, features)."""


@dataclass(frozen=True)
class Ear:
    """Who hears, and how.

    Attributes:
        name: Of the encoder.
        key: What changes the rows.
        describe: Sounds (N,) of a batch to name and row, for each.
        mixed: Whether a batch is drawn by chance over all people; else it is those of one.
    """

    name: str
    key: Sequence[object]
    describe: Callable[[list[np.ndarray]], list[Row]]
    mixed: bool = False


def prosody() -> Ear:
    """`stream`, the plain moments, and `prosody`, with quantiles and pitch where voiced."""
    encoder = ProsodyEncoder()
    key = [encoder.revision, encoder.settings]
    return Ear("prosody", key, lambda sounds: [_prosody_row(encoder, s) for s in sounds])


def wav2vec2() -> Ear:
    """The packaged one: `stream`, and `layer0` to `layer4`."""
    encoder = Wav2Vec2Encoder()
    key = [encoder.revision, encoder.settings]
    return Ear("wav2vec2", key, lambda sounds: [_layer_row(encoder, s) for s in sounds])


def whisper(folder: Path) -> Ear:
    """The teacher in a folder: `layer0` to `layer4`, the last of which is its stream.

    As when wav2vec2 was distilled, clips share the 30 s that it hears at once: a tenth of the time.
    They are drawn by chance, over all corpora: neighbours in the order of the files are of one
    speaker and one emotion, which the clip's own tokens then tell.
    """
    mel = WhisperFeatureExtractor.from_pretrained(folder)
    encoder = WhisperModel.from_pretrained(folder, dtype=torch.float32).encoder.eval()
    key = [sha256_of(*sorted(folder.glob("*.safetensors")))]
    return Ear("whisper", key, partial(_taught_rows, mel, encoder), mixed=True)


def hear(voices: Sequence[Voice], ear: Ear, cache: Cache) -> Rows:
    """Rows of all voices in their order; batches that were heard before are read from the cache."""
    rows: list[Row] = [{}] * len(voices)
    batches = _mixed(voices) if ear.mixed else _by_person(voices)
    with ProgressReport(ear.name, len(batches)) as progress:
        for name, own in batches.items():
            said = [voices[i] for i in own]
            key = [sha256_of(*(voice.sound for voice in said)), *ear.key, VERSION]
            heard = cache.get(f"voices-{ear.name}-{name}", key, partial(_hear, said, ear))
            for i, row in zip(own, heard, strict=True):
                rows[i] = row
            progress.step(name)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _by_person(voices: Sequence[Voice]) -> dict[str, list[int]]:
    people: dict[str, list[int]] = {}
    for i, voice in enumerate(voices):
        people.setdefault(voice.person, []).append(i)
    return dict(sorted(people.items()))


def _mixed(voices: Sequence[Voice]) -> dict[str, list[int]]:
    """Batches of clips in an order drawn by chance."""
    order = np.random.default_rng(0).permutation(len(voices))
    return {f"mixed{i}": order[i : i + BATCH].tolist() for i in range(0, len(order), BATCH)}


def read_sound(path: Path, cut: bool) -> np.ndarray:
    """(N,) float32 at 16 kHz, without silence at its end if that is padding."""
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    return without_padding(sound) if cut else np.asarray(sound)


def _hear(voices: Sequence[Voice], ear: Ear) -> list[Row]:
    return ear.describe([read_sound(voice.sound, voice.corpus == "emodb") for voice in voices])


def moments(tokens: np.ndarray) -> np.ndarray:
    """(T, D) to mean and deviation, (2 D,) float32."""
    return np.concatenate([tokens.mean(0), tokens.std(0)]).astype(np.float32)


def _layer_row(encoder: Wav2Vec2Encoder, sound: np.ndarray) -> Row:
    kept: list[Any] = []
    hook = encoder._model.register_forward_hook(
        lambda _module, _inputs, output: kept.append(output.hidden_states)
    )
    tokens = next(iter(encoder.encode_sound([sound]).values.values()))
    hook.remove()
    (states,) = kept  # clips are shorter than a chunk
    layers = [state[0, : len(tokens)].cpu().numpy() for state in states]
    return {"stream": moments(tokens)} | {
        f"layer{number}": moments(layer) for number, layer in enumerate(layers)
    }


@torch.inference_mode()
def _taught_rows(mel: Any, encoder: Any, sounds: list[np.ndarray]) -> list[Row]:
    rows: list[Row] = []
    for group in packed(sounds, limit=encoder.config.max_source_positions):
        mels, places = pack(mel, [sounds[i] for i in group])
        states = encoder(mels, output_hidden_states=True).hidden_states
        for clip, place in zip(group, places, strict=True):
            tokens = slice(place, place + len(sounds[clip]) // HOP)
            rows.append({f"layer{n}": moments(s[0, tokens].numpy()) for n, s in enumerate(states)})
    return rows


def _prosody_row(encoder: ProsodyEncoder, sound: np.ndarray) -> Row:
    """Rows of plain moments, and of functionals that know what is voiced."""
    tokens = encoder.encode_sound([sound]).values["prosody"].astype(np.float64)
    at = {name: i for i, name in enumerate(encoder.columns["prosody"])}
    voiced = tokens[:, at["voiced"]] > 0
    loud = tokens[tokens[:, at["energy"]] > np.quantile(tokens[:, at["energy"]], 0.95) - 30]
    melody = tokens[voiced] if voiced.any() else np.zeros((1, tokens.shape[1]))
    slopes = [at["energy.slope"], at["pitch.slope"]]
    spread = loud[:, [at["energy"], at["alpha_ratio"], *slopes]]
    row = [
        moments(loud),
        np.quantile(melody[:, at["pitch"]], QUANTILES),
        np.quantile(np.abs(melody[:, slopes]), QUANTILES, axis=0).ravel(),
        np.quantile(spread, QUANTILES, axis=0).ravel(),
        moments(melody[:, [at["pitch"], at["periodicity"]]]),
        np.array([voiced.mean(), len(loud) / len(tokens)]),
    ]
    return {"stream": moments(tokens), "prosody": np.concatenate(row).astype(np.float32)}
