"""Sound that several readers want, decoded once. Data flow: file > samples at each rate > disk.

An hour of sound at 16 kHz takes 230 MB of temporary files, which vanish with the process.

Letters: C channels, N samples.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Lock

import numpy as np

from features.cli.progress import beat
from features.cli.scratch import ScratchFile
from features.media.sound.audio import Resampler, Sound, native_sound

_SAMPLE = np.dtype("<f4")


class Moments:
    """Mean and population variance of C channels, gathered in float64 batch by batch."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._sum = np.zeros(channels)
        self._squares = np.zeros(channels)

    def add(self, values: np.ndarray) -> None:
        """Takes in (C, N) values."""
        wide = values.astype(np.float64)
        self.count += wide.shape[1]
        self._sum += wide.sum(axis=1)
        self._squares += (wide**2).sum(axis=1)

    @property
    def mean(self) -> np.ndarray:
        """(C,) float64; zeros while nothing was added."""
        return self._sum / max(self.count, 1)

    @property
    def variance(self) -> np.ndarray:
        """(C,) float64, never negative."""
        spread: np.ndarray = np.maximum(self._squares / max(self.count, 1) - self.mean**2, 0.0)
        return spread


class Spool(ScratchFile):
    """Mono sound in a temporary file: read in any order, again and again, from any thread.

    Going over it gives the blocks that it was made of. Use as a context manager; the file is gone
    afterwards.

    Args:
        blocks: Consecutive blocks of samples, each (N,); more may be added.
    """

    def __init__(self, blocks: Iterable[np.ndarray] = ()) -> None:
        super().__init__("affuse-sound-")
        self._lock, self._moments, self._lengths = Lock(), Moments(1), list[int]()
        try:
            for block in blocks:
                self.add(block)
            self.flush()
        except BaseException:
            self.close()
            raise

    def add(self, block: np.ndarray) -> None:
        """Appends samples (N,); to be followed by `flush` before they are read."""
        samples = np.ascontiguousarray(block, dtype=_SAMPLE)
        if samples.ndim != 1:
            raise ValueError(f"a block of sound must be (N,), not {samples.shape}")
        if len(samples):
            self.write(samples)
            self._moments.add(samples[None])
            self._lengths.append(len(samples))

    def __len__(self) -> int:
        return self._moments.count

    def __iter__(self) -> Iterator[np.ndarray]:
        start = 0
        for length in self._lengths:
            yield self.read(start, start + length)
            start += length

    @property
    def mean(self) -> float:
        """Mean of all samples."""
        return float(self._moments.mean[0])

    @property
    def variance(self) -> float:
        """Population variance of all samples."""
        return float(self._moments.variance[0])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop), as many of them as there are, (N,) float32."""
        beat()
        with self._lock:
            self.file.seek(start * _SAMPLE.itemsize)
            data = self.file.read((stop - start) * _SAMPLE.itemsize)
        return np.frombuffer(data, dtype=_SAMPLE).copy()


@contextmanager
def spooled(blocks: Iterable[np.ndarray]) -> Iterator[Spool]:
    """The blocks in a spool, which stays as it is if they are in one."""
    if isinstance(blocks, Spool):
        yield blocks
        return
    with Spool(blocks) as own:
        yield own


class SpooledSound:
    """Mono sound of a file at one or more rates.

    Attributes:
        offset: Time of the first sample in seconds after the first video frame; negative if the
            sound starts first; 0 for a file without video.
        duration: Its length in seconds.
    """

    def __init__(self, offset: float, duration: float, spools: dict[int, Spool]) -> None:
        self.offset, self.duration = offset, duration
        self._spools = spools

    def blocks(self, rate: int) -> Spool:
        """Samples (N,) float32 as `read_sound` gives them, about a second a block.

        Raises:
            KeyError: If the rate was not asked for.
        """
        return self._spools[rate]


def spool_sound(
    path: Path, rates: Iterable[int], most: float | None = None
) -> AbstractContextManager[SpooledSound | None]:
    """Decodes the sound of a file once, for `rates` samples per second; see `read_sound`.

    Args:
        path: A video or sound file.
        rates: Samples per second.
        most: Seconds of sound after which it stops; None: the end.

    Returns:
        The sound, readable within a `with` block; None if the file holds video but no sound.

    Raises:
        MediaError: If the file cannot be read or its sound breaks off; TemporaryFault if the
            folder of temporary files is full.
    """
    return spool(native_sound(path), rates, most)


@contextmanager
def spool(
    native: Sound | None, rates: Iterable[int], most: float | None = None
) -> Iterator[SpooledSound | None]:
    """As `spool_sound`, of sound as it was recorded."""
    if native is None:
        yield None
        return
    with ExitStack() as stack:
        spools = {rate: stack.enter_context(Spool()) for rate in rates}
        resamplers = {rate: Resampler(native.rate, rate) for rate in spools}
        samples = 0
        for block in _first(native.blocks, None if most is None else round(most * native.rate)):
            samples += len(block)
            for rate, resampler in resamplers.items():
                spools[rate].add(resampler.add(block))
            beat()
        for rate, resampler in resamplers.items():
            spools[rate].add(resampler.end())
            spools[rate].flush()
        yield SpooledSound(native.offset, samples / native.rate, spools)


def _first(blocks: Iterator[np.ndarray], samples: int | None) -> Iterator[np.ndarray]:
    """Blocks of so many samples together; None: all of them."""
    for block in blocks:
        if samples is not None and len(block) >= samples:
            yield block[:samples]
            return
        samples = None if samples is None else samples - len(block)
        yield block
