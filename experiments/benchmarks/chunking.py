"""How much cutting long sound into chunks changes wav2vec2's tokens, and what it costs.

    python -m experiments.benchmarks.chunking [--model DIR]

Data flow: a minute of speech > tokens in one piece, and in chunks of several lengths and overlaps
> error of every token, also by its distance from the cuts > a table in experiments/results.

Errors are of tokens less the mean token of the one-piece output: what all tokens share, and no
model can tell apart, would hide them. Letters: T tokens, D feature dimensions.
"""

import csv
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from features.cli.app import OK, run
from features.encoders.audio.chunking import TokenGrid, plan
from features.encoders.audio.wav2vec2 import PACKAGED, Wav2Vec2Encoder, Wav2Vec2Settings

RATE, SECONDS = 16000, 60
CHUNKS, OVERLAPS = (5, 10, 20, 30), (0, 1, 2, 4)
AWAY = 1.0
"""Seconds from a cut from which on a token counts as away from it."""
SHARP = 4.0
"""Factor on random query and key weights: attention then depends on the sound, as a trained one's
does, while with the weights as initialised it is nearly uniform."""
RESULT = Path(__file__).parents[1] / "results/chunking.md"


@dataclass
class Settings:
    """Settings of the study.

    Args:
        model: Another checkpoint to measure, a folder or a hub name.
        speech: Folder of LibriSpeech clips with `speech.csv`; without it the sound is synthetic.
        result: File to write.
    """

    model: str = ""
    speech: Path = Path("../shared/data/speech")
    result: Path = RESULT


@dataclass(frozen=True)
class Row:
    """What came of one chunk length and overlap.

    Attributes:
        chunk: Length in seconds; that of the sound if in one piece.
        overlap: Overlap in seconds.
        work: Tokens computed per token kept.
        speed: Seconds of sound per second.
        cosines: Lowest, 1 % and median cosine of a token with that of one piece.
        away: Lowest cosine at `AWAY` seconds or more from a cut.
        error: Median of |difference| / |token|.
    """

    chunk: float
    overlap: float
    work: float
    speed: float
    cosines: tuple[float, float, float]
    away: float
    error: float


def main(settings: Settings) -> int:
    """Measures all models, prints the table and writes it."""
    sound, source = minute_of_speech(settings.speech)
    with TemporaryDirectory() as folder:
        models = {
            "base kind (group norm), random weights": random_model(Path(folder) / "base", "group"),
            "large kind (layer norm), random weights": random_model(Path(folder) / "big", "layer"),
        }
        if PACKAGED.is_dir():
            models["packaged"] = "packaged"
        if settings.model:
            models[settings.model] = settings.model
        tables = [table(name, measure(model, sound)) for name, model in models.items()]
    text = "\n".join([_HEAD.format(source=source, sharp=SHARP, away=AWAY), *tables])
    settings.result.write_text(text)
    print(text)
    return OK


def minute_of_speech(folder: Path) -> tuple[np.ndarray, str]:
    """A minute of sound (N,) float32, and what it is."""
    if not (folder / "speech.csv").is_file():
        t = np.arange(SECONDS * RATE) / RATE
        noise = np.random.default_rng(0).normal(size=len(t))
        wave = 0.1 * noise * (1 + np.sin(2 * np.pi * 3 * t)) * (1.5 + np.sin(t))
        return wave.astype(np.float32), "synthetic: noise at the rate of syllables"
    with (folder / "speech.csv").open(encoding="utf8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["corpus"] == "librispeech"]
    clips: list[np.ndarray] = []
    for name in names:
        clips.append(soundfile.read(folder / name, dtype="float32")[0])
        if sum(map(len, clips)) >= SECONDS * RATE:
            break
    return np.concatenate(clips)[: SECONDS * RATE], f"{len(clips)} clips of LibriSpeech, joined"


def random_model(folder: Path, norm: str) -> str:
    """A wav2vec 2.0 of a fifth of base's width with random weights; gives its folder."""
    torch.manual_seed(0)
    large = norm == "layer"
    config = Wav2Vec2Config(
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=768,
        conv_dim=(128,) * 7,
        feat_extract_norm=norm,
        do_stable_layer_norm=large,
        conv_bias=large,
    )
    model: Any = Wav2Vec2Model(config)
    with torch.no_grad():
        for layer in model.encoder.layers:
            layer.attention.q_proj.weight *= SHARP
            layer.attention.k_proj.weight *= SHARP
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return str(folder)


def measure(model: str, sound: np.ndarray) -> list[Row]:
    """One row per chunk and overlap, the whole sound in one piece first."""
    whole, speed = _encode(model, sound, SECONDS + 1, 0)
    one = Row(SECONDS, 0, 1.0, speed, (1.0, 1.0, 1.0), 1.0, 0.0)
    grid = TokenGrid(320, 400, RATE)
    rows = [one]
    for chunk, overlap in itertools.product(CHUNKS, OVERLAPS):
        tokens, speed = _encode(model, sound, chunk, overlap)
        pieces = plan(len(whole), grid.tokens_in(chunk), overlap * RATE // grid.hop)
        cuts = np.array([piece.keep_stop for piece in pieces[:-1]])
        away = np.abs(np.arange(len(whole))[:, None] - cuts).min(1) >= AWAY * RATE / grid.hop
        cosine, error = compare(tokens, whole)
        lowest, percent, median = np.quantile(cosine, [0, 0.01, 0.5])
        work = sum(piece.stop - piece.start for piece in pieces) / len(whole)
        found = (float(lowest), float(percent), float(median))
        lowest_away, middle = float(cosine[away].min()), float(np.median(error))
        rows.append(Row(chunk, overlap, work, speed, found, lowest_away, middle))
    return rows


def compare(tokens: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and relative error of each token (T, D), less the mean of `whole`; both (T,)."""
    a, b = tokens - whole.mean(0), whole - whole.mean(0)
    size = np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * size, 1e-9)
    return cosine, np.linalg.norm(a - b, axis=1) / np.maximum(size, 1e-9)


def table(name: str, rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"## {name}\n", _COLUMNS]
    for r in rows:
        cosines = " | ".join(f"{c:.4f}" for c in (*r.cosines, r.away))
        lines.append(
            f"| {r.chunk:g} | {r.overlap:g} | {r.work:.2f} | {r.speed:.0f} | {cosines}"
            f" | {r.error:.4f} |"
        )
    return "\n".join(lines) + "\n"


def _encode(
    model: str, sound: np.ndarray, chunk: float, overlap: float
) -> tuple[np.ndarray, float]:
    """Tokens (T, D) and seconds of sound a second."""
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=model, chunk=chunk, overlap=overlap))
    start = time.perf_counter()
    values = encoder.encode_sound([sound]).values["wav2vec2"]
    return values, len(sound) / RATE / (time.perf_counter() - start)


_HEAD = """# wav2vec2 in chunks

Written by `python -m experiments.benchmarks.chunking`. Sound: a minute, {source}. Tokens (default
layers) in
chunks against those of the sound in one piece, both less the mean token. `away`: minimum at
{away:g} s or more from a cut. Work: tokens computed per token kept. Speed: seconds of sound a
second in one run, good for comparing rows at best. Random weights: 192 wide, 6 layers, query and
key weights {sharp:g} times their initial size; they show what the method does, not what a trained
checkpoint does, which `--model DIR` measures.
"""
_COLUMNS = """| chunk, s | overlap, s | work | speed | cosine min | 1 % | median | away | error |
|---|---|---|---|---|---|---|---|---|"""

if __name__ == "__main__":
    run(
        Settings,
        main,
        prog="experiments.benchmarks.chunking",
        description=str(__doc__).splitlines()[0],
    )
