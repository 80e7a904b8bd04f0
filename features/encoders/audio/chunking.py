"""Long sound in pieces for encoders that hear only a limited time at once.

Data flow: sound in a Spool > pieces that overlap > tokens, each taken
from the piece in which it lies farthest from a border > one array (a temporary file).

Letters: N samples, T tokens.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from features.cli.scratch import ScratchFile
from features.media.sound.audio_cache import Spool


@dataclass(frozen=True)
class TokenGrid:
    """Which samples a token hears.

    Attributes:
        hop: Samples from one token to the next.
        field: Samples that one token hears.
        rate: Sampling rate in Hz.
    """

    hop: int
    field: int
    rate: int

    @classmethod
    def of_convolutions(cls, kernels: list[int], strides: list[int], rate: int) -> "TokenGrid":
        """The grid of a stack of unpadded convolutions, first layer first.

        wav2vec2's kernels 10, 3, 3, 3, 3, 2, 2 and strides 5, 2, 2, 2, 2, 2, 2 give hop 320 and
        field 400.
        """
        hop, field = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            field += (kernel - 1) * hop
            hop *= stride
        return cls(hop, field, rate)

    def count(self, samples: int) -> int:
        """Whole tokens in so many samples: floor((N - field) / hop) + 1, or 0."""
        return max(0, (samples - self.field) // self.hop + 1)

    def tokens_in(self, seconds: float) -> int:
        """Tokens whose fields lie in so many seconds."""
        return self.count(round(seconds * self.rate))

    def samples_of(self, start: int, stop: int) -> tuple[int, int]:
        """First sample of token `start` and one past the last sample of token `stop - 1`."""
        return start * self.hop, (stop - 1) * self.hop + self.field

    def centres(self, count: int) -> np.ndarray:
        """Centres of the first tokens, (T,) float64 seconds: (hop j + field / 2) / rate."""
        return (self.hop * np.arange(count) + self.field / 2) / self.rate

    def walk(self, sound: Spool, tokens: int) -> Iterator[np.ndarray]:
        """The sound in stretches of so many tokens: each token falls in just one."""
        total = self.count(len(sound))
        for start in range(0, total, tokens):
            yield sound.read(*self.samples_of(start, min(start + tokens, total)))


@dataclass(frozen=True)
class Piece:
    """Tokens [start, stop) are computed together; of these, [keep_start, keep_stop) are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def kept_here(self) -> slice:
        """The kept tokens, counted from the start of the piece."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)


def plan(total: int, length: int, overlap: int) -> list[Piece]:
    """Covers `total` tokens with pieces of equal length whose overlaps are cut at the middle.

    The last piece ends with the sound, so its overlap may be longer. Sound of at most `length`
    tokens is one piece, as it is.

    Raises:
        ValueError: Unless 0 <= overlap < length.
    """
    if not 0 <= overlap < length:
        raise ValueError(f"overlap {overlap} must be at least 0 and below the length {length}")
    if total <= length:
        return [Piece(0, total, 0, total)] if total else []
    starts = [*range(0, total - length, length - overlap), total - length]
    ends = [start + length for start in starts]
    cuts = [(start + end) // 2 for start, end in zip(starts[1:], ends[:-1], strict=True)]
    bounds = [0, *cuts, total]
    return [Piece(*piece) for piece in zip(starts, ends, bounds[:-1], bounds[1:], strict=True)]


def joined_on_disk(parts: Iterable[np.ndarray], dim: int, dtype: DTypeLike) -> np.ndarray:
    """Joins parts (N, D) into one array that lies in a temporary file and vanishes with it.

    Tokens of an hour come beside all else that is at work; so they take memory only when they are
    used, which is when the encoder has done.

    Args:
        parts: Consecutive rows.
        dim: D, for when there are none.
        dtype: Type of the result.
    """
    rows = 0
    with ScratchFile("affuse-tokens-") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype))
            rows += len(part)
        if not rows:
            return np.zeros((0, dim), dtype)
        file.flush()
        return np.asarray(np.memmap(file.file, dtype, "r+", shape=(rows, dim)))
