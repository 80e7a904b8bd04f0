"""Sound that several readers want, decoded once. Data flow: file > samples at each rate > disk.

An hour of sound at 16 kHz takes 230 MB of temporary files, which vanish with the process.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock

import numpy as np

from features.cli.progress import beat
from features.cli.scratch import ScratchFile
from features.media.sound.audio import Resampler, native_sound


class SpooledSound:
    """Mono sound of a file at one or more rates; can be read again and again, from any thread.

    Attributes:
        offset: Time of the first sample in seconds after the first video frame; negative if the
            sound starts first; 0 for a file without video.
        duration: Its length in seconds.
    """

    def __init__(self, offset: float, duration: float, spools: dict[int, "_Spool"]) -> None:
        self.offset, self.duration = offset, duration
        self._spools = spools

    def blocks(self, rate: int) -> Iterator[np.ndarray]:
        """Samples (N,) float32 as `read_sound` gives them, about a second a block.

        Raises:
            KeyError: If the rate was not asked for.
        """
        return self._spools[rate].blocks()


@contextmanager
def spool_sound(
    path: Path, rates: Iterable[int], most: float | None = None
) -> Iterator[SpooledSound | None]:
    """Decodes the sound of a file once, for `rates` samples per second; see `read_sound`.

    Args:
        path: A video or sound file.
        rates: Samples per second.
        most: Seconds of sound after which it stops; None: the end.

    Yields:
        The sound, readable within the `with` block; None if the file holds video but no sound.

    Raises:
        MediaError: If the file cannot be read or its sound breaks off; TemporaryFault if the
            folder of temporary files is full.
    """
    native = native_sound(path)
    if native is None:
        yield None
        return
    with ExitStack() as stack:
        spools = {rate: _Spool(stack.enter_context(ScratchFile("affuse-sound-"))) for rate in rates}
        resamplers = {rate: Resampler(native.rate, rate) for rate in spools}
        samples = 0
        for block in _first(native.blocks, None if most is None else round(most * native.rate)):
            samples += len(block)
            for rate, resampler in resamplers.items():
                spools[rate].write(resampler.add(block))
            beat()
        for rate, resampler in resamplers.items():
            spools[rate].write(resampler.end())
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


class _Spool:
    """Blocks of samples in a file."""

    def __init__(self, file: ScratchFile) -> None:
        self._file = file
        self._lengths: list[int] = []
        self._lock = Lock()

    def write(self, block: np.ndarray) -> None:
        if len(block):
            self._file.write(block)
            self._lengths.append(len(block))

    def flush(self) -> None:
        self._file.flush()

    def blocks(self) -> Iterator[np.ndarray]:
        start = 0
        for length in self._lengths:
            with self._lock:
                self._file.file.seek(start)
                block = np.fromfile(self._file.file, np.float32, length)
            start += block.nbytes
            yield block
