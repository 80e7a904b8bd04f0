"""The demo's voices: speech-like sound, synthesised.

Data flow: pitch and syllables > harmonics under formants and spectral tilt + consonant noise
> loudness > background noise > mono sound.

Arousal raises pitch, loudness and the strength of high harmonics (and `demo_people` its speed);
valence, less so, moves formants and the melody. Speakers differ in all of these.

Letters: C control points (`CONTROL_RATE` a second), N samples, K harmonics.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

CONTROL_RATE = 100
"""Points a second of every trajectory of the demo."""
VOWELS = np.array(
    [[750, 1250, 2600], [500, 1850, 2550], [310, 2250, 2950], [480, 900, 2500], [330, 800, 2350]],
    dtype=float,
)
"""First three formants in Hz of a, e, i, o, u (an adult; after Peterson and Barney 1952)."""
BANDWIDTHS = np.array([90.0, 120.0, 180.0])
STRENGTHS = np.array([1.0, 0.55, 0.3])
TOP = 5000.0
"""Highest harmonic in Hz."""


@dataclass(frozen=True)
class Voice:
    """What makes a speaker.

    Attributes:
        pitch: Usual fundamental frequency in Hz.
        formants: Scale of the formants (a short throat has a large one).
        gain: Loudness of the recording in dB.
        tilt: Fall of the spectrum in dB an octave, at middling arousal.
        snr: Speech against background in dB.
    """

    pitch: float
    formants: float
    gain: float
    tilt: float
    snr: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random speaker."""
    size = rng.uniform(0, 1)
    return Voice(
        pitch=float(100 * 2 ** (1.1 * size + rng.normal(0, 0.1))),
        formants=float(0.9 + 0.22 * size + rng.normal(0, 0.02)),
        gain=float(rng.uniform(-5, 3)),
        tilt=float(rng.uniform(9, 12)),
        snr=float(rng.uniform(9, 20)),
    )


@dataclass(frozen=True)
class Speech:
    """What is said and how, at the control rate.

    Attributes:
        syllables: (C,) loudness within the syllables, 0 to 1; 0 in pauses.
        vowels: (C,) index of the vowel.
        valence: (C,)
        arousal: (C,)
    """

    syllables: np.ndarray
    vowels: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray


def speak(voice: Voice, speech: Speech, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Mono sound (N,) float32 within [-1, 1], N = C / CONTROL_RATE * rate."""
    clock = np.arange(len(speech.syllables)) / CONTROL_RATE
    samples = np.arange(round(len(clock) / CONTROL_RATE * rate)) / rate
    pitch = _pitch(voice, speech, rng)
    loud = speech.syllables * 10 ** ((15 * (speech.arousal - 0.3) + voice.gain) / 20)
    tone = _harmonics(pitch, _spectrum(voice, speech, pitch), clock, samples)
    spoken = tone * np.interp(samples, clock, loud)
    spoken += _consonants(speech, loud, clock, samples, rng)
    sound = 0.16 * spoken
    noise = lfilter([1.0], [1.0, -0.85], rng.normal(size=len(sound)))
    level = 0.16 * _rms(tone) * 10 ** (voice.gain / 20) * 0.6
    sound += noise / _rms(noise) * level * 10 ** (-voice.snr / 20)
    return np.tanh(sound).astype(np.float32)


def _pitch(voice: Voice, speech: Speech, rng: np.random.Generator) -> np.ndarray:
    """(C,) fundamental frequency in Hz: level by arousal, melody livelier with valence."""
    melody = gaussian_filter1d(rng.normal(size=len(speech.arousal)), 0.12 * CONTROL_RATE)
    melody *= (0.1 + 0.05 * speech.valence) / max(_rms(melody), 1e-9)
    octaves = 0.75 * (speech.arousal - 0.3) + 0.08 * speech.valence + melody
    return np.clip(voice.pitch * 2**octaves, 60, 600)


def _spectrum(voice: Voice, speech: Speech, pitch: np.ndarray) -> np.ndarray:
    """(C, K) amplitude of each harmonic."""
    count = int(TOP / pitch.min())
    hertz = pitch[:, None] * np.arange(1, count + 1)
    scale = voice.formants * (1 + 0.05 * speech.valence)
    path = gaussian_filter1d(VOWELS[speech.vowels], 0.03 * CONTROL_RATE, axis=0) * scale[:, None]
    width = BANDWIDTHS * (1 + path / 4000)
    distance = (hertz[:, :, None] - path[:, None, :]) / width[:, None, :]
    resonance = (STRENGTHS / (1 + distance**2)).sum(axis=2) + 0.02
    tilt = voice.tilt - 7.0 * (speech.arousal - 0.3)
    fall = 10 ** (-tilt[:, None] * np.log2(np.maximum(hertz, 150.0) / 150.0) / 20)
    return resonance * fall * (hertz < TOP)


def _harmonics(
    pitch: np.ndarray, spectrum: np.ndarray, clock: np.ndarray, samples: np.ndarray
) -> np.ndarray:
    """(N,) sum of the harmonics, of unit loudness overall."""
    step = samples[1] - samples[0]
    phase = 2 * np.pi * np.cumsum(np.interp(samples, clock, pitch)) * step
    tone = np.zeros(len(samples))
    for k in range(spectrum.shape[1]):
        tone += np.interp(samples, clock, spectrum[:, k]) * np.sin((k + 1) * phase)
    return tone / max(float(np.median(np.abs(tone))) * 2, 1e-6)


def _consonants(
    speech: Speech,
    loud: np.ndarray,
    clock: np.ndarray,
    samples: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(N,) hiss where syllables begin."""
    onset = np.maximum(np.diff(speech.syllables, prepend=0), 0) * 12
    hiss = np.diff(rng.normal(size=len(samples)), prepend=0)
    return 0.25 * hiss * np.interp(samples, clock, np.minimum(onset, 1) * (loud + 0.2))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
