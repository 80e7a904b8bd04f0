"""Sounds of which it is known when somebody speaks: clips of one person, pauses, and a background.

Data flow: clips > energy of the clean sound > truth, a value each 32 ms > clips with pauses >
background at a ratio to the speech, through all of it > `Mixture`.

Letters: N samples, F frames of `HOP` samples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_closing, binary_dilation, binary_erosion, binary_opening
from scipy.signal import butter, sosfilt

RATE, HOP = 16000, 512
BELOW = 30.0
"""Decibels below a clip's loud frames (95 %) down to which it counts as speech."""
GAP, LEAST = 6, 2
"""Frames of a pause that belongs to the speech (.2 s), and of the shortest speech."""
PAUSE = 1.5
"""Seconds between clips, and before and behind them."""
LONGEST = 5.0
"""Seconds of a clip, at most."""

Background = Callable[[int, np.random.Generator], np.ndarray]
"""Number of samples to sound (N,) of any loudness."""


@dataclass(frozen=True)
class Mixture:
    """A sound with its truth.

    Attributes:
        condition: Name of the background.
        person: Who speaks.
        sound: (N,) float32.
        speech: (F,) bool.
        judged: (F,) bool, false beside the borders of speech, of which the truth is not sure.
    """

    condition: str
    person: str
    sound: np.ndarray
    speech: np.ndarray
    judged: np.ndarray


def speech_frames(clip: np.ndarray) -> np.ndarray:
    """(N,) clean sound to (N // HOP,) bool: loud, or a short pause between what is loud."""
    frames = clip[: len(clip) // HOP * HOP].reshape(-1, HOP)
    level = 10 * np.log10((frames**2).mean(1) + 1e-12)
    loud = np.pad(level > np.quantile(level, 0.95) - BELOW, GAP)
    closed = binary_opening(binary_closing(loud, np.ones(GAP + 1)), np.ones(LEAST))
    return np.asarray(closed[GAP:-GAP])


def mixtures(person: str, clips: Sequence[np.ndarray], seed: int) -> Iterator[Mixture]:
    """The same clips of one person before each background."""
    rng = np.random.default_rng(seed)
    quiet = round(PAUSE * RATE / HOP)
    sounds, truths = [np.zeros(quiet * HOP)], [np.zeros(quiet, bool)]
    for clip in clips:
        truth = speech_frames(clip[: round(LONGEST * RATE)])
        part = clip[: len(truth) * HOP]
        sounds += [0.05 * part / np.sqrt((part**2).mean() + 1e-12), np.zeros(quiet * HOP)]
        truths += [truth, np.zeros(quiet, bool)]
    sound, speech = np.concatenate(sounds), np.concatenate(truths)
    edge = binary_dilation(speech, np.ones(3)) & ~binary_erosion(speech, np.ones(3))
    power = (sound.reshape(-1, HOP)[speech] ** 2).mean()
    for name, (make, ratio) in CONDITIONS.items():
        mixed = sound
        if make is not None:
            behind = make(len(sound), rng)
            behind *= np.sqrt(power / (behind**2).mean()) * 10 ** (-ratio / 20)
            mixed = sound + behind
        if name == "telephone, noise 20 dB":
            mixed = sosfilt(butter(4, (300, 3400), "band", fs=RATE, output="sos"), mixed)
        yield Mixture(name, person, mixed.clip(-1, 1).astype(np.float32), speech, ~edge)


def noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Pink noise: power falls with the frequency."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20.0), samples))


def music(samples: int, rng: np.random.Generator) -> np.ndarray:
    """A tune with vibrato over chords that fade, eight harmonics a note."""
    out, beat = np.zeros(samples), RATE // 2
    for number, start in enumerate(range(0, samples, beat)):
        root = 110 * 2 ** (rng.integers(12) / 12)
        length = min(beat * (1 if number % 2 else 3), samples - start)
        time = np.arange(length) / RATE
        shape = np.minimum(time / 0.02, 1) * np.exp(-2 * time)
        notes = [root * 2 ** (step / 12) for step in (0, 4, 7)] if number % 2 == 0 else []
        for pitch in [*notes, root * 2 ** (rng.integers(12, 25) / 12)]:
            phase = pitch * time + 0.3 * np.sin(2 * np.pi * 5.5 * time) * pitch / 200
            out[start : start + length] += shape * sum(
                np.sin(2 * np.pi * k * phase) / k for k in range(1, 9)
            )
    return out


def tones(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Beeps of .3 s twice a second, and a hum of 50 Hz."""
    time = np.arange(samples) / RATE
    pitch = rng.choice([440.0, 800.0, 1000.0, 1500.0], size=samples // (RATE // 2) + 1)
    on = (time % 0.5) < 0.3
    return np.asarray(
        on * np.sin(2 * np.pi * pitch[(time * 2).astype(int)] * time)
        + 0.2 * np.sin(2 * np.pi * 50 * time)
    )


def claps(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Bursts of noise that fade in 20 ms, at odd moments, three a second."""
    out = np.zeros(samples)
    shape = np.exp(-np.arange(2400) / (0.02 * RATE))
    for start in rng.integers(0, samples - 2400, size=max(1, 3 * samples // RATE)):
        out[start : start + 2400] += rng.uniform(0.3, 1) * shape * rng.normal(size=2400)
    return out


CONDITIONS: dict[str, tuple[Background | None, float]] = {
    "clean": (None, 0.0),
    "noise 20 dB": (noise, 20.0),
    "noise 10 dB": (noise, 10.0),
    "noise 0 dB": (noise, 0.0),
    "telephone, noise 20 dB": (noise, 20.0),
    "music 10 dB": (music, 10.0),
    "music 0 dB": (music, 0.0),
    "tones 10 dB": (tones, 10.0),
    "tones 0 dB": (tones, 0.0),
    "claps 10 dB": (claps, 10.0),
    "claps 0 dB": (claps, 0.0),
}
"""Background and ratio of speech to background in decibels, by name."""
