"""How far pitch is off, and how long it takes: `prosody` beside librosa's YIN and pYIN.

Data flow: voice-like sound of known pitch > each tracker > cents off, times real time.

    python -m experiments.benchmarks.pitch_error
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import librosa
import numpy as np

from features.cli.app import OK, run
from features.encoders.audio.prosody import RATE, ProsodyEncoder

HOP, LOW, HIGH = 320, 60.0, 700.0
REFERENCE = 150.0
"""Zero of `prosody`'s pitch scale in Hz."""
EDGE = 5
"""Tokens at either end that are left out."""

Tracker = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Sound (N,) to times (T,) in seconds and pitch (T,) in Hz, NaN where unvoiced."""


@dataclass
class PitchErrorSettings:
    """Settings of the measurement.

    Args:
        seconds: Length of each sound.
        pyin: Whether pYIN is measured too; it is slow.
    """

    seconds: float = 20.0
    pyin: bool = True


def sounds(seconds: float) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, samples and true pitch in Hz at each sample: ten harmonics, little noise."""
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(size=len(times))
    for hertz in (65.0, 110.0, 225.0, 640.0):
        yield f"{hertz:g} Hz", *_voice(np.full(len(times), hertz), 0.002 * noise)
    swing = 0.8 * np.sin(0.6 * np.pi * times) + 0.15 * np.sin(4.2 * np.pi * times)
    yield "speech-like glides", *_voice(150 * 2**swing, 0.002 * noise)
    yield "glides in noise", *_voice(150 * 2**swing, 0.02 * noise)


def _voice(hertz: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    voice = 0.05 * np.sum([np.sin(k * phase) / k for k in range(1, 11)], axis=0)
    return (voice + noise).astype(np.float32), hertz


def by_prosody(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The encoder."""
    encoder = ProsodyEncoder()
    tokens = encoder.encode_sound([sound])
    columns = (encoder.columns.index(name) for name in ("pitch", "voiced"))
    pitch, voiced = (tokens.values["prosody"][:, column] for column in columns)
    return tokens.times, np.where(voiced > 0, REFERENCE * 2**pitch, np.nan)


def by_yin(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Librosa's YIN alone, with as long a window."""
    hertz = librosa.yin(sound, fmin=LOW, fmax=HIGH, sr=RATE, frame_length=1024, hop_length=HOP)
    return np.arange(len(hertz)) * HOP / RATE, hertz


def by_pyin(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Librosa's pYIN."""
    hertz, _, _ = librosa.pyin(
        sound, fmin=LOW, fmax=HIGH, sr=RATE, frame_length=1024, hop_length=HOP
    )
    return np.arange(len(hertz)) * HOP / RATE, hertz


def cents_off(times: np.ndarray, hertz: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cents (T',) by which the voiced tokens are off, without those at the ends."""
    true = np.interp(times, np.arange(len(truth)) / RATE, truth)
    off = 1200 * np.abs(np.log2(hertz / true))[EDGE:-EDGE]
    return off[np.isfinite(off)]


def command(settings: PitchErrorSettings) -> int:
    """Prints a line a sound and tracker."""
    trackers: dict[str, Tracker] = {"prosody": by_prosody, "YIN": by_yin}
    if settings.pyin:
        trackers["pYIN"] = by_pyin
    for name, sound, truth in sounds(settings.seconds):
        for tracker, track in trackers.items():
            track(sound[:RATE])  # compiles, loads
            began = time.perf_counter()
            off = cents_off(*track(sound), truth)
            speed = settings.seconds / (time.perf_counter() - began)
            middle, most = np.percentile(off, [50, 95])
            print(f"{name}: {tracker}: cents off: median {middle:.2f}, mean {off.mean():.2f},"
                  f" 95 % {most:.2f}; {speed:.0f} times real time")  # fmt: skip
    return OK


if __name__ == "__main__":
    run(
        PitchErrorSettings,
        command,
        prog="experiments.benchmarks.pitch_error",
        description=__doc__.split("\n")[0],
    )
