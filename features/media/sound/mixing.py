"""Decoded sound to one channel that can be trusted.

Data flow: frame > channels (C, N), scaled to [-1, 1) > what is no number silenced > mean of the
channels, or the louder one where they cancel > (N,) float32.

Letters: C channels, N samples of a frame.
"""

from dataclasses import dataclass

import av
import numpy as np

LOUDEST = 2.0**32
"""Samples beyond this, relative to full scale, are damage as infinities are. Below lie floats that
were written as 32-bit integers."""
HALF_LIFE = 0.25
"""Seconds of sound after which what came before counts half in whether channels cancel."""
CANCEL, AGREE = 0.1, 0.3
"""Power of the channels' sum over the sum of their powers (1 if they have nothing in common, C if
they are equal), below which they cancel, and above which they no longer do."""
QUIET = 1e-7
"""Power, -70 dB of full scale, below which sound tells nothing of the channels' phases."""
FADE = 0.01
"""Seconds in which the mean gives way to a channel, or the other way round."""


@dataclass
class Bridged:
    """Samples in which something else stands for what the file holds.

    Attributes:
        samples: How many.
        first: Number of the first one in the file.
        run: How many were the last in a row, and are still.
        longest: The most in a row.
    """

    samples: int = 0
    first: int = 0
    run: int = 0
    longest: int = 0

    def add(self, where: np.ndarray, start: int) -> None:
        """Takes in where (N,) bool it is so in the samples from number `start` on."""
        places = np.flatnonzero(where)
        if not len(places):
            self.run = 0
            return
        if not self.samples:
            self.first = start + int(places[0])
        self.samples += len(places)
        breaks = np.flatnonzero(np.diff(places) > 1)
        runs = np.diff(np.concatenate([[-1], breaks, [len(places) - 1]]))
        runs[0] += self.run if places[0] == 0 else 0
        self.longest = max(self.longest, int(runs.max()))
        self.run = int(runs[-1]) if places[-1] == len(where) - 1 else 0


class Mixer:
    """Makes one channel of the frames of a file.

    Attributes:
        damaged: Where no channel held a number, or one that is a sound's; silence stands in.
        cancelled: Where channels in opposite phase cancelled each other; the louder one stands in.
    """

    def __init__(self) -> None:
        self.damaged, self.cancelled = Bridged(), Bridged()
        self._done = 0
        self._powers, self._sum = np.zeros(0), 0.0  # (C,) and of the sum, fading
        self._share = 0.0  # of the louder channel in what was given last: 0 or 1

    def mono(self, frame: av.AudioFrame) -> np.ndarray:
        """(N,) float32."""
        channels = _channels(frame)
        good: np.ndarray | None = None
        if not np.abs(channels).max(initial=0.0) <= LOUDEST:  # so that NaN is seen
            good = np.abs(channels) <= LOUDEST
            channels = np.where(good, channels, 0.0)
        mean = channels.mean(axis=0)
        if good is not None:
            mean = channels.sum(axis=0) / np.maximum(good.sum(axis=0), 1)
        silent = np.zeros(len(mean), bool)
        if good is not None:
            silent[:] = ~good.any(axis=0)
        self.damaged.add(silent, self._done)
        if len(channels) > 1:
            mean = self._mixed(channels, mean, frame.sample_rate)
        self._done += len(mean)
        return mean.astype(np.float32)

    def _mixed(self, channels: np.ndarray, mean: np.ndarray, rate: int) -> np.ndarray:
        """The mean (N,), or the louder channel where channels cancel."""
        share = float(self._cancel(channels, rate))
        ramp = np.clip(np.arange(1, len(mean) + 1) / (FADE * rate), 0.0, 1.0)
        if not self._done:
            self._share = share  # the beginning of a file is not faded
        weight = self._share + (share - self._share) * ramp
        self._share = share
        self.cancelled.add(np.full(len(mean), share > 0), self._done)
        if not weight.any():
            return mean
        louder = channels[int(np.argmax(self._powers))]
        mixed: np.ndarray = mean + weight * (louder - mean)
        return mixed

    def _cancel(self, channels: np.ndarray, rate: int) -> bool:
        """Whether the channels cancel, going by these and what came before."""
        centred = channels - channels.mean(axis=1, keepdims=True)
        powers = (centred**2).sum(axis=1)
        if len(powers) != len(self._powers):
            self._powers, self._sum = np.zeros(len(powers)), 0.0
        if powers.max() > QUIET * channels.shape[1]:
            kept = 0.5 ** (channels.shape[1] / (HALF_LIFE * rate))
            self._powers = kept * self._powers + powers
            self._sum = kept * self._sum + float((centred.sum(axis=0) ** 2).sum())
        limit = AGREE if self._share else CANCEL
        return self._sum < limit * float(self._powers.sum())


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """(C, N) float64; integers are scaled to [-1, 1)."""
    data: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, len(frame.layout.channels)).T
    channels = data.astype(np.float64)
    if data.dtype.kind == "u":
        return channels / 128.0 - 1.0
    if data.dtype.kind == "i":
        return channels / 2.0 ** (8 * data.dtype.itemsize - 1)
    return channels
