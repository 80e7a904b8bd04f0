"""Pitch and voicing of a stretch of sound. Data flow: samples > librosa's YIN > refined > Hz.

YIN gives a pitch for any noise and no measure of how sure it is; pYIN, which does, runs at five to
eight times real time on a core, some 20 times slower than this. So the period that YIN finds is
held against the sound itself by hand. That places it better, too: librosa's windows lose what is
shifted out of them, which is 13 cents for a sine of 65 Hz.

librosa compiles its YIN when it is used first after it was installed, which takes some 10 s.

Letters: N samples, B windows.
"""

import librosa
import numpy as np

RATE, HOP, WINDOW, CORRELATION = 16000, 320, 1024, 512
"""Sampling rate in Hz; samples from one pitch to the next; samples in which a pitch is looked for;
samples of the segment that is held against the one a period later."""
QUIET = 1e-7
"""Power that counts as noise, -70 dB: a silent room's hum has no pitch."""
CLIMB = 6
"""Lags by which YIN's period may be off, at most."""


def find_pitch(sound: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Pitch of each window of a stretch of sound, one per `HOP`.

    Args:
        sound: (N,) with N >= WINDOW.
        low: Lowest pitch in Hz.
        high: Highest pitch in Hz.

    Returns:
        Pitch in Hz (B,), any positive number where there is none; periodicity (B,) from 0 to 1.
    """
    hertz = librosa.yin(
        sound, fmin=low, fmax=high, sr=RATE, frame_length=WINDOW, hop_length=HOP, center=False
    )
    windows = librosa.util.frame(sound, frame_length=WINDOW, hop_length=HOP).T
    periods, periodicity = refine(windows, RATE / hertz)
    return RATE / periods, periodicity


def refine(windows: np.ndarray, periods: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How alike a window is to itself one period later (McLeod and Wyvill 2005), and where most.

    n(l) = 2 r(l) / m(l), where r(l) = sum_j x_j x_(j+l) and m(l) = sum_j x_j^2 + x_(j+l)^2 over
    `CORRELATION` samples in the middle, and m has the power `QUIET` added; a parabola through the
    three lags l about a period places the peak between them.

    Args:
        windows: (B, WINDOW).
        periods: (B,) samples, roughly.

    Returns:
        Periods (B,); periodicity (B,), the height of the peak, from 0 to 1.
    """
    x = windows - windows.mean(axis=1, keepdims=True)
    lags, near = np.rint(periods).astype(int), np.zeros((3, len(x)))
    climbing = np.arange(len(x))
    for _ in range(CLIMB):
        near[:, climbing] = [_similarity(x[climbing], lags[climbing] + step) for step in (-1, 0, 1)]
        steps = near[:, climbing].argmax(axis=0) - 1
        climbing, steps = climbing[steps != 0], steps[steps != 0]
        if not len(climbing):
            break
        lags[climbing] += steps
    before, here, after = near
    bend = before - 2 * here + after
    peak = (here >= before) & (here >= after) & (bend < 0)
    shift = np.where(peak, 0.5 * (before - after) / np.where(peak, bend, 1.0), 0.0)
    height = here - 0.25 * (before - after) * shift
    return lags + shift, np.clip(height, 0.0, 1.0)


def _similarity(x: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """McLeod's n of windows (B, WINDOW) at one lag each (B,): (B,) from -1 to 1."""
    segments = np.lib.stride_tricks.sliding_window_view(x, CORRELATION, axis=1)
    rows, first = np.arange(len(x)), (WINDOW - CORRELATION - lags) // 2
    now, later = segments[rows, first], segments[rows, first + lags]
    power = (now**2).sum(axis=1) + (later**2).sum(axis=1) + 2 * CORRELATION * QUIET
    similarity: np.ndarray = 2 * np.einsum("ij,ij->i", now, later) / power
    return similarity
