"""Mean and deviation of each dimension of a stream, from valid frames only.

Data flow: (values, valid) of the training clips, one by one > Moments > Normaliser > checkpoint
> windows.

Letters: F frames, D feature dimensions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fusion.streams.clip_streams import ClipStreams
from fusion.streams.stream_spec import StreamSpec

BLOCK = 4096
"""Frames that are taken to float64 at once."""
RESOLUTION = 1e-7
"""A deviation below this share of the mean is rounding of float32: the dimension is constant."""


@dataclass(frozen=True)
class Normaliser:
    """Takes the mean and scales to unit deviation.

    Attributes:
        mean: (D,) float32.
        std: (D,) float32, 1 for constant dimensions.
    """

    mean: Tensor
    std: Tensor

    def apply(self, values: Tensor, valid: Tensor, start: int = 0) -> Tensor:
        """Normalised (..., D) float32 of values (..., D); rows not valid (...) become zero.

        It is the same for every frame, wherever the values start in the clip.
        """
        scaled = values.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)
        return scaled if valid.all() else scaled.masked_fill_(~valid.unsqueeze(-1), 0.0)

    def state(self) -> dict[str, Tensor]:
        """Plain tensors for a checkpoint."""
        return {"mean": self.mean, "std": self.std}

    @staticmethod
    def from_state(state: dict[str, Tensor]) -> "Normaliser":
        """The normaliser that `state` was taken from."""
        return Normaliser(mean=state["mean"], std=state["std"])


class Moments:
    """Count, mean and sum of squared deviations of rows (D,) that come in blocks, in float64.

    Blocks are merged by Chan, Golub and LeVeque (1979), which loses no digits to a large mean.

    Args:
        dim: D.
        prior: Rows of mean 0 and deviation 1 that count as seen before the first.
    """

    def __init__(self, dim: int, prior: int = 0) -> None:
        self.count = prior
        self.mean, self.squares = np.zeros(dim), np.full(dim, float(prior))

    def add(self, rows: np.ndarray) -> None:
        """Adds rows (n, D); n may be 0."""
        if not len(rows):
            return
        rows = rows.astype(np.float64)
        centre = rows.mean(0)
        shift, total = centre - self.mean, self.count + len(rows)
        self.squares += ((rows - centre) ** 2).sum(0) + shift**2 * self.count * len(rows) / total
        self.mean += shift * len(rows) / total
        self.count = total

    def add_clip(self, values: np.ndarray, valid: np.ndarray) -> None:
        """Adds the valid (F,) rows of values (F, D), a block at a time."""
        for start in range(0, len(values), BLOCK):
            self.add(values[start : start + BLOCK][valid[start : start + BLOCK]])

    @property
    def std(self) -> np.ndarray:
        """(D,) population deviation; 0 for dimensions that differ by rounding only."""
        std = np.sqrt(self.squares / max(self.count, 1))
        return np.where(std > RESOLUTION * np.abs(self.mean), std, 0.0)

    def normaliser(self) -> Normaliser:
        """Takes the mean and scales; of mean 0 and deviation 1 if no row has come."""
        std = self.std
        return Normaliser(
            mean=torch.from_numpy(self.mean).float(),
            std=torch.from_numpy(np.where(std > 0, std, 1.0)).float(),
        )


def fit(clips: Iterable[tuple[np.ndarray, np.ndarray]], dim: int) -> Normaliser:
    """Mean and population deviation over the valid frames of all clips, in one pass and float64.

    Args:
        clips: For each clip its values (F, D) and valid (F,).
        dim: D.

    Returns:
        The normaliser; of mean 0 and deviation 1 if there is no valid frame.
    """
    moments = Moments(dim)
    for values, valid in clips:
        moments.add_clip(values, valid)
    return moments.normaliser()


def fit_normalisers(
    clips: Sequence[ClipStreams], specs: Mapping[str, StreamSpec]
) -> dict[str, Normaliser]:
    """Normaliser of each stream over the valid frames of the (training) clips."""
    return {
        name: fit(((clip.streams[name][:], clip.valid[name]) for clip in clips), spec.dim)
        for name, spec in specs.items()
    }
