"""Prosody: how something is said. Needs no weights.

Data flow: blocks > windows, one per 20 ms > log-mel, energy, spectral slope; pitch and voicing >
slopes of energy and pitch > tokens, 50 a second.

Spectra, mel bands, pitch (pitch.py) and slopes are librosa's; by hand is what cuts an endless
stream into stretches, since librosa's functions want the whole of a sound.

A window reaches 22 ms beyond its token on either side (pitch; the spectrum 6 ms); beyond the
borders of the sound there is silence. Windows are worked on in batches that begin at fixed tokens,
so that it does not matter at all how the sound is cut into blocks.

Letters: B windows of a batch, T tokens, D columns, M mel bands.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from warnings import catch_warnings, simplefilter

import librosa
import numpy as np
from numpy.typing import DTypeLike

from features.cli.progress import beat
from features.encoders.audio.chunking import TokenGrid, joined_on_disk
from features.encoders.audio.pitch import HOP, RATE, WINDOW, find_pitch
from features.encoders.base import BaseEncoder, Description, Tokens
from features.errors import UserError

VERSION = "2"
"""Raise this when a change of the code changes the values."""

SPECTRUM = 512
"""Samples of a spectrum."""
MARGIN = (WINDOW - SPECTRUM) // 2
"""Samples of a window of pitch before, and behind, those of the spectrum."""
BATCH = 100
"""Windows worked on together: 2 s, so that they stay in the processor's cache."""
MEL_RANGE = (50.0, 7600.0)
"""Lowest and highest frequency of the mel bands in Hz."""
PITCH_REFERENCE = 150.0
"""Zero of the pitch scale in Hz, between men's and women's voices."""
FLOOR = 1e-10
"""Power that counts as silence, relative to full scale: -100 dB."""
SLOPE = 2
"""Tokens on either side that a slope is taken over."""


@dataclass(frozen=True)
class ProsodySettings:
    """Settings of the prosody encoder.

    Args:
        mel_bands: Number of mel bands.
        pitch_min: Lowest pitch in Hz.
        pitch_max: Highest pitch in Hz; shouting reaches 600 and more.
        voicing: Periodicity, from 0 to 1, above which a token is voiced.
        stream: Name of the stream.
    """

    mel_bands: int = 40
    pitch_min: float = 60.0
    pitch_max: float = 700.0
    voicing: float = 0.5
    stream: str = "prosody"


class ProsodyEncoder(BaseEncoder):
    """An `AudioEncoder`; token j is centred at (j + .5) * .02 s, and N samples give floor(N / 320).

    It runs on the processor. The columns of the stream:

    - `mel.0` ...: log mel power in dB, Hann window of 32 ms.
    - `energy`: mean power of the same 32 ms in dB of full scale; -100 for silence.
    - `alpha_ratio`: power of 50 to 1000 Hz over power of 1 to 5 kHz in dB (Eyben et al. 2016): the
      spectrum's slope, which falls with vocal effort.
    - `pitch`: octaves above 150 Hz where voiced, else 0 and meaningless: `voiced` is its mask.
    - `voiced`: 1 where the sound is periodic, else 0.
    - `periodicity`: height of the correlation's peak, 0 to 1: how sure the voicing is.
    - `energy.slope`, `pitch.slope`: change per token over five tokens (regression); that of pitch
      is 0 unless all five are voiced.
    """

    name = "prosody"
    settings_type = ProsodySettings

    def _open(self, settings: ProsodySettings) -> None:
        self._stream, self._voicing = settings.stream, settings.voicing
        self._range = settings.pitch_min, settings.pitch_max
        self._grid = TokenGrid(HOP, HOP, RATE)
        self._full_scale = SPECTRUM * (librosa.filters.get_window("hann", SPECTRUM) ** 2).sum()
        self._mel = _mel_filters(settings.mel_bands)

    @classmethod
    def describe(cls, settings: ProsodySettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if the settings make no sense."""
        _check(settings)
        return Description(
            name=cls.name,
            input=f"sound {RATE} Hz",
            revision=f"prosody-{VERSION}",
            settings={
                "mel_bands": settings.mel_bands,
                "pitch_min": settings.pitch_min,
                "pitch_max": settings.pitch_max,
                "voicing": settings.voicing,
            },
            streams={settings.stream: len(_columns(settings))},
            licence="Apache-2.0 (code of this project)",
            trained_on="nothing",
            rate=RATE,
            token_rate=RATE / HOP,
            columns={settings.stream: _columns(settings)},
        )

    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks (N,) of mono sound; see `AudioEncoder`."""
        pitches, periodicities = [np.zeros(0)], [np.zeros(0)]

        def spectra() -> Iterator[np.ndarray]:
            for sound in _stretches(blocks):
                hertz, periodicity = find_pitch(sound, *self._range)
                pitches.append(hertz)
                periodicities.append(periodicity)
                yield self._spectral(sound[MARGIN : len(sound) - MARGIN])

        spectral = joined_on_disk(spectra(), self._mel.shape[0] + 2, np.float32)
        if not len(spectral):
            empty = np.zeros((0, self.streams[self._stream]), dtype)
            return Tokens({self._stream: empty}, np.zeros(0))
        melody = self._melody(np.concatenate(pitches), np.concatenate(periodicities))
        slopes = _slopes(spectral[:, -2], melody[:, 0], melody[:, 1] > 0)
        values = np.hstack([spectral, melody, slopes], dtype=dtype, casting="same_kind")
        return Tokens({self._stream: values}, self._grid.centres(len(values)))

    def _spectral(self, sound: np.ndarray) -> np.ndarray:
        """A stretch to log-mel, energy and alpha ratio, (B, M + 2) in dB."""
        spectrum = librosa.stft(sound, n_fft=SPECTRUM, hop_length=HOP, center=False)
        power = np.abs(spectrum) ** 2 / self._full_scale
        mean = librosa.feature.rms(
            y=sound, frame_length=SPECTRUM, hop_length=HOP, center=False, dtype=np.float64
        )
        hertz = librosa.fft_frequencies(sr=RATE, n_fft=SPECTRUM)
        low = power[(hertz >= 50) & (hertz < 1000)].sum(axis=0, keepdims=True)
        high = power[(hertz >= 1000) & (hertz < 5000)].sum(axis=0, keepdims=True)
        tilt = _decibels(low) - _decibels(high)
        return np.vstack([_decibels(self._mel @ power), _decibels(mean**2), tilt]).T.astype(
            np.float32
        )

    def _melody(self, hertz: np.ndarray, periodic: np.ndarray) -> np.ndarray:
        """Pitch in Hz and periodicity (T,) to pitch in octaves, voiced, periodicity: (T, 3)."""
        voiced = periodic > self._voicing
        octaves = np.where(voiced, np.log2(hertz / PITCH_REFERENCE), 0.0)
        melody = np.stack([_smooth(octaves, voiced), voiced, periodic], axis=1)
        return melody.astype(np.float32)


def _columns(settings: ProsodySettings) -> tuple[str, ...]:
    """Names of the columns, in their order."""
    mel = [f"mel.{i}" for i in range(settings.mel_bands)]
    levels = ["energy", "alpha_ratio", "pitch", "voiced", "periodicity"]
    return (*mel, *levels, "energy.slope", "pitch.slope")


def _stretches(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The sound (N,) float64 that `BATCH` tokens hear, again and again, however it is cut."""
    need = (BATCH - 1) * HOP + WINDOW
    waiting, samples, done = np.zeros((WINDOW - HOP) // 2), 0, 0
    for block in blocks:
        samples += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= need:
            beat()
            yield waiting[:need]
            waiting, done = waiting[BATCH * HOP :], done + BATCH
    if left := samples // HOP - done:
        end = (left - 1) * HOP + WINDOW
        yield np.pad(waiting, (0, WINDOW))[:end]


def _smooth(pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Median over the voiced ones of five neighbours, against octave jumps; (T,) to (T,)."""
    padded = np.pad(np.where(voiced, pitch, np.inf), 2, constant_values=np.inf)
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    middle = (np.isfinite(ordered).sum(1) - 1).clip(0) // 2
    return np.where(voiced, ordered[np.arange(len(pitch)), middle], 0.0)


def _slopes(energy: np.ndarray, pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Regression slopes of energy and pitch over 2 * SLOPE + 1 tokens, (T, 2)."""
    width = 2 * SLOPE + 1
    both = librosa.feature.delta(np.stack([energy, pitch]), width=width, mode="nearest")
    held = np.lib.stride_tricks.sliding_window_view(np.pad(voiced, SLOPE), width).all(axis=1)
    both[1, ~held] = 0.0
    return both.T.astype(np.float32)


def _mel_filters(bands: int) -> np.ndarray:
    """Triangular filters, (M, SPECTRUM / 2 + 1), each of sum 1."""
    low, high = MEL_RANGE
    with catch_warnings():
        simplefilter("ignore")  # of empty filters, which are refused below
        bank: np.ndarray = librosa.filters.mel(
            sr=RATE, n_fft=SPECTRUM, n_mels=bands, fmin=low, fmax=high, htk=True, norm=1
        )
    if not bank.any(axis=1).all():
        raise UserError(f"--prosody.mel_bands {bands} is too many for 32 ms; use 64 or fewer")
    return bank.astype(np.float64)


def _decibels(power: np.ndarray) -> np.ndarray:
    """10 log10 of the power, at least that of `FLOOR`."""
    level: np.ndarray = librosa.power_to_db(power, amin=FLOOR, top_db=None)
    return level


def _check(settings: ProsodySettings) -> None:
    """Raises UserError for settings that make no sense."""
    if not 40 <= settings.pitch_min < settings.pitch_max <= 1000:
        raise UserError(
            f"--prosody.pitch_min {settings.pitch_min} and --prosody.pitch_max {settings.pitch_max}"
            " must rise and lie in 40 to 1000 Hz"
        )
    if settings.mel_bands < 1 or not 0 < settings.voicing < 1:
        raise UserError("--prosody.mel_bands must be at least 1, --prosody.voicing between 0 and 1")
