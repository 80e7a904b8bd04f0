"""What a temporal part is: fused frames (B, T, dim) and which are real (B, T) > frames in context.

Letters: B windows, T frames, K scales.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from fusion.model.registry import Block, Registry


@dataclass(frozen=True)
class TemporalShape:
    """What a temporal part has to fit.

    Attributes:
        dim: Width of the frames, before and after.
        kernel: Taps of the model's convolutions, odd.
        dropout: The model's.
    """

    dim: int
    kernel: int
    dropout: float


@dataclass(frozen=True)
class TemporalSettings(Block, ABC):
    """Settings of a temporal part.

    Attributes:
        causal: Whether it looks at no later frame; then the whole model does not.
    """

    setting: ClassVar[str] = "model.temporal"
    causal: ClassVar[bool] = False

    @property
    def rows(self) -> int:
        """K, scales of time that the result has: (B, T, K, dim); 0 for (B, T, dim)."""
        return 0

    def check(self, shape: TemporalShape) -> None:
        """Raises UserError, naming the setting, for settings that make no module."""

    @abstractmethod
    def build(self, shape: TemporalShape) -> nn.Module:
        """The module: (B, T, dim) and bool (B, T) to (B, T, dim), or (B, T, K, dim)."""


@dataclass(frozen=True)
class Layered(TemporalSettings):
    """Settings of a temporal part of layers over steps.

    Attributes:
        layers: Number of layers.
        stride: Frames whose mean is one step, whose answer is added to each of them. 2 trains about
            1.6 times as fast as 1, and context moves slowly.
    """

    layers: int = 2
    stride: int = 2

    def check(self, shape: TemporalShape) -> None:
        """Raises UserError for no layer, or no frame a step."""
        self.require("layers", self.layers >= 1, "at least 1")
        self.require("stride", self.stride >= 1, "at least 1")


temporals = Registry[TemporalSettings](TemporalSettings.setting)
