"""What a fusion is: encoded streams (B, T, S, C) and their validity (B, T, S) > frames (B, T, dim).

Letters: B windows, T frames, C channels, S streams.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from fusion.model.registry import Block, Registry


@dataclass(frozen=True)
class FusionShape:
    """What a fusion has to fit.

    Attributes:
        streams: Names of the streams, in their order.
        channels: C of each encoded stream.
        dim: Width of the result.
        dropout: The model's.
        causal: Whether no result may depend on a later frame.
    """

    streams: tuple[str, ...]
    channels: int
    dim: int
    dropout: float
    causal: bool


@dataclass(frozen=True)
class FusionSettings(Block, ABC):
    """Settings of a fusion."""

    setting: ClassVar[str] = "model.fusion"

    def check(self, shape: FusionShape) -> None:
        """Raises UserError, naming the setting, for settings that make no module."""

    @abstractmethod
    def build(self, shape: FusionShape) -> nn.Module:
        """The module: (B, T, S, C) and bool (B, T, S) to (B, T, dim)."""

    def static(self, streams: Sequence[str]) -> list[str]:
        """Streams that the module takes once more, encoded frame by frame, after the others."""
        return []


fusions = Registry[FusionSettings](FusionSettings.setting)


def or_all(valid: Tensor) -> Tensor:
    """Validity (B, T, S) of streams, all of them where none is: a softmax needs one."""
    return valid | ~valid.any(dim=-1, keepdim=True)
