"""Mean and deviation of each dimension of a stream, from valid training frames only.

Data flow: (values, valid) of the training clips, one by one > Normaliser > checkpoint > windows.

Letters: F frames, D feature dimensions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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

    def apply(self, values: Tensor, valid: Tensor) -> Tensor:
        """Normalised (..., D) float32 of values (..., D); rows not valid (...) become zero."""
        scaled = values.float().sub(self.mean).div_(self.std)
        return scaled.masked_fill_(~valid.unsqueeze(-1), 0.0)

    def state(self) -> dict[str, Tensor]:
        """Plain tensors for a checkpoint."""
        return {"mean": self.mean, "std": self.std}

    @staticmethod
    def from_state(state: dict[str, Tensor]) -> "Normaliser":
        """The normaliser that `state` was taken from."""
        return Normaliser(mean=state["mean"], std=state["std"])


def fit(clips: Iterable[tuple[np.ndarray, np.ndarray]], dim: int) -> Normaliser:
    """Mean and population deviation over the valid frames of all clips, in one pass and float64.

    Blocks are merged by Chan, Golub and LeVeque (1979), which loses no digits to a large mean.

    Args:
        clips: For each clip its values (F, D) and valid (F,).
        dim: D.

    Returns:
        The normaliser; of mean 0 and deviation 1 if there is no valid frame.
    """
    count, mean, squares = 0, np.zeros(dim), np.zeros(dim)
    for values, valid in clips:
        for start in range(0, len(values), BLOCK):
            rows = values[start : start + BLOCK][valid[start : start + BLOCK]].astype(np.float64)
            if not len(rows):
                continue
            centre = rows.mean(0)
            shift, total = centre - mean, count + len(rows)
            squares += ((rows - centre) ** 2).sum(0) + shift**2 * count * len(rows) / total
            mean += shift * len(rows) / total
            count = total
    std = np.sqrt(squares / max(count, 1))
    varies = std > RESOLUTION * np.abs(mean)
    return Normaliser(
        mean=torch.from_numpy(mean).float(),
        std=torch.from_numpy(np.where(varies, std, 1.0)).float(),
    )
