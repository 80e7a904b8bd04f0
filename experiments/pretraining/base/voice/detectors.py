"""How well speech is told from what is none: Silero's detector, voicing and energy.

Data flow: people held out of all training here > mixtures with known truth > a score each 32 ms >
area under the curve and F1 by person > rows of a table.

Letters: F frames of 32 ms.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, uniform_filter1d
from sklearn.metrics import roc_auc_score

from experiments.pretraining.base.voice.hearing import read_sound
from experiments.pretraining.base.voice.mixtures import (
    CONDITIONS,
    HOP,
    RATE,
    Mixture,
    mixtures,
    speech_frames,
)
from experiments.pretraining.base.voices import read_voices
from features.encoders.audio.prosody import ProsodyEncoder
from features.encoders.audio.speech import SpeechEncoder

CLIPS = 3
"""Clips of each person."""
SMOOTH = 15
"""Tokens of prosody, of 20 ms, that voicing and energy are averaged over: .3 s, so that consonants
without voice are bridged."""
READ = {"librispeech": 8, "speechocean762": 5}
"""Corpora of read speech and how many of their speakers are heard."""
GRID = np.linspace(0, 1, 101)

Detector = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Sound (N,) to scores (F,) by name."""


def detector() -> Detector:
    """Silero's detector, voicing and energy: all that is compared."""
    speech, prosody = SpeechEncoder(), ProsodyEncoder()
    at = {name: i for i, name in enumerate(prosody.columns["prosody"])}

    def detect(sound: np.ndarray) -> dict[str, np.ndarray]:
        tokens = prosody.encode_sound([sound])
        smooth = uniform_filter1d(tokens.values["prosody"].astype(float), SMOOTH, axis=0)
        centres = (np.arange(len(sound) // HOP) + 0.5) * HOP / RATE
        voicing, energy = (
            np.interp(centres, tokens.times, smooth[:, at[name]]) for name in ("voiced", "energy")
        )
        silero = speech.encode_sound([sound]).values["speech"][:, 0]
        return {"Silero": silero, "voicing": voicing, "energy": energy}

    return detect


def compare(people: Mapping[str, Sequence[np.ndarray]], detect: Detector) -> list[dict[str, str]]:
    """Rows of the table, a condition each.

    Args:
        people: Person to clips (N,) at 16 kHz.
        detect: Gives the scores of all that are compared.
    """
    heard: dict[str, list[tuple[Mixture, dict[str, np.ndarray]]]] = {
        name: [] for name in CONDITIONS
    }
    for seed, (person, clips) in enumerate(people.items()):
        for mixture in mixtures(person, clips[:CLIPS], seed):
            heard[mixture.condition].append((mixture, detect(mixture.sound)))
    return [_row(condition, several) for condition, several in heard.items()]


def _row(condition: str, several: list[tuple[Mixture, dict[str, np.ndarray]]]) -> dict[str, str]:
    row = {"background": condition}
    truths = [m.speech[m.judged] for m, _ in several]
    for name in several[0][1]:
        scores = [s[name][m.judged] for m, s in several]
        areas = [roc_auc_score(t, s) for t, s in zip(truths, scores, strict=True)]
        row[f"{name} AUC"] = figure(areas)
        row[f"{name} F1"] = figure(fitted_f1(truths, scores))
        if name == "Silero":
            row["Silero F1 at .5"] = figure(
                [f1(t, s > 0.5) for t, s in zip(truths, scores, strict=True)]
            )
            row["false alarms at .5"] = figure(
                [(s > 0.5)[~t].mean() for t, s in zip(truths, scores, strict=True)]
            )
    row["always speech F1"] = figure([f1(t, np.ones_like(t)) for t in truths])
    return row


def fitted_f1(truths: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> list[float]:
    """F1 of each person at the threshold that is best for the other half of the people."""
    cuts = np.quantile(np.concatenate(scores), GRID)
    table = np.array([[f1(t, s > c) for c in cuts] for t, s in zip(truths, scores, strict=True)])
    half = np.arange(len(truths)) % 2
    best = [table[half != side].mean(0).argmax() for side in (0, 1)]
    return [float(row[best[side]]) for row, side in zip(table, half, strict=True)]


def f1(truth: np.ndarray, said: np.ndarray) -> float:
    """2 TP / (2 TP + FP + FN)."""
    hits = (truth & said).sum()
    return float(2 * hits / max(1, truth.sum() + said.sum()))


def figure(values: Sequence[float]) -> str:
    """Mean and its standard error over people."""
    x = np.asarray(values, float)
    return f"{x.mean():.3f} ± {x.std(ddof=1) / np.sqrt(len(x)):.3f}"


def shouted(data: Path) -> Iterator[dict[str, str]]:
    """Rows by RAVDESS's emotion: share of the speech that is found in clips as they are.

    Actors 02 to 04; the share is of all frames of speech, without those beside its borders.
    """
    encoder = SpeechEncoder()
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for voice in read_voices(data, ["ravdess"]):
        if voice.split == "validation":
            sound = read_sound(voice.sound, cut=False)
            inner = binary_erosion(speech_frames(sound), np.ones(3))
            said = encoder.encode_sound([sound]).values["speech"][:, 0] > 0.5
            strong = voice.id.split("_")[1].split("-")[3] == "02"
            of_emotion = found.setdefault(voice.emotion, {"normal": [], "strong": []})
            of_emotion["strong" if strong else "normal"].append(said[inner])
    for emotion, parts in found.items():
        shares = {k: f"{np.concatenate(v).mean():.3f}" for k, v in parts.items() if v}
        yield {"emotion": emotion} | shares


def people_held_out(data: Path) -> dict[str, list[np.ndarray]]:
    """Person to `CLIPS` clips, of speakers that no encoder of this project was trained on.

    All held-out speakers of the acted corpora, eight of LibriSpeech and five of speechocean762.
    """
    voices = [v for v in read_voices(data) if v.split == "validation"]
    paths: dict[str, list[Path]] = {}
    for voice in voices:
        paths.setdefault(voice.person, []).append(voice.sound)
    for corpus, most in READ.items():
        paths |= dict(list(_readers(data / "speech", corpus).items())[:most])
    rng = np.random.default_rng(0)
    drawn = {person: rng.permutation(len(own))[:CLIPS] for person, own in paths.items()}
    return {
        person: [read_sound(own[i], person.startswith("emodb")) for i in drawn[person]]
        for person, own in paths.items()
    }


def _readers(root: Path, corpus: str) -> dict[str, list[Path]]:
    """Held-out person to clips of a corpus of read speech."""
    found: dict[str, list[Path]] = {}
    with (root / "speech.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["corpus"] == corpus and row["split"] == "valid":
                found.setdefault(f"{corpus}_{row['speaker']}", []).append(root / row["file"])
    return found
