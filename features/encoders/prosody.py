"""Prosody: how something is said. Needs no weights.

Data flow: blocks > windows, one per 20 ms > log-mel, energy, spectral slope; pitch and voicing >
slopes of energy and pitch > tokens, 50 a second.

A window reaches 14 to 15 ms beyond its token on either side (pitch; the spectrum 6 ms); beyond the
borders of the sound there is silence. Windows are worked on in batches that begin at fixed tokens,
so that it does not matter at all how the sound is cut into blocks.

Letters: B windows of a batch, T tokens, W samples of a window, D columns, M mel bands, L lags.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike
from scipy.fft import next_fast_len

from features.cli import UserError
from features.encoders.chunks import TokenGrid, joined_on_disk
from features.encoders.protocol import READY, Described, Description, Status, Tokens
from features.progress import beat

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    import torch

VERSION = "1"
"""Raise this when a change of the code changes the values."""

RATE, HOP, SPECTRUM, CORRELATION = 16000, 320, 512, 512
"""Sampling rate in Hz; samples per token; samples of the spectrum and of the correlated segment."""
BATCH = 100
"""Windows worked on together: 2 s, so that they stay in the processor's cache."""
MEL_RANGE = (50.0, 7600.0)
"""Lowest and highest frequency of the mel bands in Hz."""
PITCH_REFERENCE = 150.0
"""Zero of the pitch scale in Hz, between men's and women's voices."""
FLOOR = 1e-10
"""Power that counts as silence, relative to full scale: -100 dB."""
QUIET = 1e-7
"""Power that counts as noise in the search for pitch, -70 dB: a silent room's hum has no pitch."""
FIRST_PEAK = 0.85
"""Share of the highest peak that an earlier peak must reach to be the period (McLeod: .8 to 1)."""
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


class ProsodyEncoder(Described):
    """An `AudioEncoder`; token j is centred at (j + .5) * .02 s, and N samples give floor(N / 320).

    The columns of the stream, by name in `columns`:

    - `mel.0` ...: log mel power in dB, Hann window of 32 ms.
    - `energy`: mean power of the same 32 ms in dB of full scale; -100 for silence.
    - `alpha_ratio`: power of 50 to 1000 Hz over power of 1 to 5 kHz in dB (Eyben et al. 2016): the
      spectrum's slope, which falls with vocal effort.
    - `pitch`: octaves above 150 Hz where voiced, else 0 and meaningless: `voiced` is its mask.
    - `voiced`: 1 where the sound is periodic, else 0.
    - `periodicity`: height of the correlation's peak, 0 to 1: how sure the voicing is.
    - `energy.slope`, `pitch.slope`: change per token over five tokens (regression); that of pitch
      is 0 unless all five are voiced.

    Args:
        settings: See `ProsodySettings`.
        device: Not used; this is numpy on the processor.

    Raises:
        UserError: If the settings make no sense.
    """

    name = "prosody"
    input = f"sound {RATE} Hz"
    rate = RATE
    token_rate = RATE / HOP
    revision = f"prosody-{VERSION}"
    licence = "Apache-2.0 (code of this project)"
    trained_on = "nothing"

    def __init__(
        self, settings: ProsodySettings | None = None, device: "torch.device | str" = "cpu"
    ) -> None:
        settings = settings or ProsodySettings()
        super().__init__(self.describe(settings))
        self._stream, self._voicing = settings.stream, settings.voicing
        self._lags = round(RATE / settings.pitch_max), -round(-RATE / settings.pitch_min)
        self._grid = TokenGrid(HOP, HOP, RATE)
        self._hann = np.hanning(SPECTRUM + 1)[:-1]
        self._mel = _mel_filters(settings.mel_bands)
        self.columns = _columns(settings)

    @classmethod
    def describe(cls, settings: ProsodySettings, margin: float = 0.0) -> Description:
        """What it would be; see `Encoder`."""
        _check(settings)
        return Description(
            name=cls.name,
            input=cls.input,
            revision=cls.revision,
            settings={
                "mel_bands": settings.mel_bands,
                "pitch_min": settings.pitch_min,
                "pitch_max": settings.pitch_max,
                "voicing": settings.voicing,
            },
            streams={settings.stream: len(_columns(settings))},
            licence=cls.licence,
            trained_on=cls.trained_on,
            rate=cls.rate,
            token_rate=cls.token_rate,
        )

    @classmethod
    def status(cls, settings: ProsodySettings) -> Status:
        """Always ready; see `Encoder`."""
        return READY

    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks (N,) of mono sound; see `AudioEncoder`."""
        width = CORRELATION + self._lags[1] + 1
        width += width % 2
        middle = (width - SPECTRUM) // 2
        pitches, periodicities = [np.zeros(0)], [np.zeros(0)]

        def spectra() -> Iterator[np.ndarray]:
            for windows in _windows(blocks, width):
                hertz, periodicity = find_pitch(windows, *self._lags)
                pitches.append(hertz)
                periodicities.append(periodicity)
                yield self._spectral(windows[:, middle : middle + SPECTRUM])

        spectral = joined_on_disk(spectra(), self._mel.shape[1] + 2, np.float32)
        if not len(spectral):
            empty = np.zeros((0, len(self.columns)), dtype)
            return Tokens({self._stream: empty}, np.zeros(0))
        melody = self._melody(np.concatenate(pitches), np.concatenate(periodicities))
        slopes = _slopes(spectral[:, -2], melody[:, 0], melody[:, 1] > 0)
        values = np.hstack([spectral, melody, slopes], dtype=dtype, casting="same_kind")
        return Tokens({self._stream: values}, self._grid.centres(len(values)))

    def _spectral(self, windows: np.ndarray) -> np.ndarray:
        """(B, W) to log-mel, energy and alpha ratio, (B, M + 2) in dB."""
        power = np.abs(np.fft.rfft(windows * self._hann)) ** 2 / np.sum(self._hann**2) / SPECTRUM
        hertz = np.fft.rfftfreq(SPECTRUM, 1 / RATE)
        low = power[:, (hertz >= 50) & (hertz < 1000)].sum(1)
        high = power[:, (hertz >= 1000) & (hertz < 5000)].sum(1)
        columns = [_decibels(power @ self._mel), _decibels((windows**2).mean(1))[:, None]]
        columns.append((_decibels(low) - _decibels(high))[:, None])
        return np.hstack(columns).astype(np.float32)

    def _melody(self, hertz: np.ndarray, periodicity: np.ndarray) -> np.ndarray:
        """Pitch in Hz and periodicity (T,) to pitch in octaves, voiced, periodicity: (T, 3)."""
        voiced = periodicity > self._voicing
        octaves = np.where(voiced, np.log2(hertz / PITCH_REFERENCE), 0.0)
        melody = np.stack([_smooth(octaves, voiced), voiced, periodicity], axis=1)
        return melody.astype(np.float32)


def _columns(settings: ProsodySettings) -> list[str]:
    """Names of the columns, in their order."""
    mel = [f"mel.{i}" for i in range(settings.mel_bands)]
    levels = ["energy", "alpha_ratio", "pitch", "voiced", "periodicity"]
    return [*mel, *levels, "energy.slope", "pitch.slope"]


def find_pitch(windows: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Pitch by the normalised square difference function (McLeod and Wyvill 2005).

    n(l) = 2 r(l) / m(l), where r(l) = sum_j x_j x_(j+l) and m(l) = sum_j x_j^2 + x_(j+l)^2 over
    j < CORRELATION, and m has the power `QUIET` added. The period is the first peak that reaches
    `FIRST_PEAK` of the highest, placed between lags by a parabola.

    Args:
        windows: (B, W) with W >= CORRELATION + high + 1.
        low: Shortest period in samples.
        high: Longest period in samples.

    Returns:
        Pitch in Hz (B,), any positive number where there is no peak; periodicity (B,) from 0 to 1,
        the height of the peak, 0 where there is none.
    """
    similarity = _similarity(windows, high + 1)[:, low - 1 :]  # (B, L), the first is lag low - 1
    before, here, after = similarity[:, :-2], similarity[:, 1:-1], similarity[:, 2:]
    peaks = np.where((here > before) & (here >= after), here, 0.0)
    first = np.argmax(peaks >= FIRST_PEAK * peaks.max(1, keepdims=True), axis=1)
    rows = np.arange(len(windows))
    a, b, c = before[rows, first], here[rows, first], after[rows, first]
    bend = a - 2 * b + c
    shift = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, 1.0), 0.0)
    height = np.where(peaks[rows, first] > 0, b - 0.25 * (a - c) * shift, 0.0)
    period = first + low + np.clip(shift, -0.5, 0.5)
    return RATE / period, np.clip(height, 0.0, 1.0)


def _similarity(windows: np.ndarray, lags: int) -> np.ndarray:
    """McLeod's n at the lags 0 to `lags`, (B, lags + 1) float64, from -1 to 1."""
    x = windows - windows.mean(1, keepdims=True)
    size = next_fast_len(x.shape[1], real=True)
    start = np.fft.rfft(x[:, :CORRELATION], size)
    r = np.fft.irfft(start.conj() * np.fft.rfft(x, size), size)[:, : lags + 1]
    total = np.cumsum(np.pad(x**2, ((0, 0), (1, 0))), axis=1)
    energy = total[:, CORRELATION : CORRELATION + lags + 1] - total[:, : lags + 1]
    return 2 * r / (energy[:, :1] + energy + 2 * CORRELATION * QUIET)


def _windows(blocks: Iterable[np.ndarray], width: int) -> Iterator[np.ndarray]:
    """Windows (B, W) float64 around the tokens, `BATCH` at a time, however the sound is cut."""
    need = (BATCH - 1) * HOP + width
    waiting, samples, done = np.zeros((width - HOP) // 2), 0, 0
    for block in blocks:
        samples += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= need:
            beat()
            yield _cut(waiting[:need], width)
            waiting, done = waiting[BATCH * HOP :], done + BATCH
    if left := samples // HOP - done:
        yield _cut(np.concatenate([waiting, np.zeros(width)]), width)[:left]


def _cut(sound: np.ndarray, width: int) -> np.ndarray:
    """(N,) to windows (B, W), one per hop."""
    return np.lib.stride_tricks.sliding_window_view(sound, width)[::HOP]


def _smooth(pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Median over the voiced ones of five neighbours, against octave jumps; (T,) to (T,)."""
    padded = np.pad(np.where(voiced, pitch, np.inf), 2, constant_values=np.inf)
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    middle = (np.isfinite(ordered).sum(1) - 1).clip(0) // 2
    return np.where(voiced, ordered[np.arange(len(pitch)), middle], 0.0)


def _slopes(energy: np.ndarray, pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Regression slopes of energy and pitch over 2 * SLOPE + 1 tokens, (T, 2)."""
    steps = np.arange(-SLOPE, SLOPE + 1)
    weights = steps / (steps**2).sum()
    sides = [np.pad(column, SLOPE, mode="edge") for column in (energy, pitch)]
    around = [np.lib.stride_tricks.sliding_window_view(side, len(steps)) for side in sides]
    held = np.lib.stride_tricks.sliding_window_view(np.pad(voiced, SLOPE), len(steps)).all(1)
    slopes = np.stack([around[0] @ weights, np.where(held, around[1] @ weights, 0.0)], axis=1)
    return slopes.astype(np.float32)


def _mel_filters(bands: int) -> np.ndarray:
    """Triangular filters, (SPECTRUM / 2 + 1, M), each of sum 1."""
    from torchaudio.functional import melscale_fbanks  # torch takes seconds

    bank = melscale_fbanks(
        SPECTRUM // 2 + 1, *MEL_RANGE, bands, RATE, norm=None, mel_scale="htk"
    ).numpy()
    sums = bank.sum(0)
    if (sums == 0).any():
        raise UserError(f"--prosody.mel_bands {bands} is too many for 32 ms; use 64 or fewer")
    filters: np.ndarray = bank / sums
    return filters


def _decibels(power: np.ndarray) -> np.ndarray:
    """10 log10 of the power, at least that of `FLOOR`."""
    level: np.ndarray = 10 * np.log10(np.maximum(power, FLOOR))
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
