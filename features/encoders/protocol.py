"""What an encoder is.

Visual: face crops (N, H, W, 3) > `encode` > one vector per crop and stream.
Audio: blocks of mono sound > `encode` > one vector per token and stream, with the tokens' centres.

Letters: N crops, T tokens, D feature dimensions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from features.hashing import settings_hash, weights_hash

__all__ = ["AudioEncoder", "Encoder", "Tokens", "VisualEncoder", "settings_hash", "weights_hash"]


@dataclass(frozen=True)
class Tokens:
    """What an audio encoder heard.

    Attributes:
        values: stream name to (T, D) float32.
        times: (T,) float64, centres of the tokens in seconds after the first sample.
    """

    values: dict[str, np.ndarray]
    times: np.ndarray


class Encoder(Protocol):
    """Members that all encoders share.

    Attributes:
        name: Name in configs, e.g. `wav2vec2`.
        revision: Hash of the weights, or of the version of the code where there are none.
        settings: Every setting that changes the output.
        streams: Stream name to dimension D, e.g. `{"expression": 256, "expression.probs": 7}`.
        licence: Licence of the weights.
        trained_on: Data that the weights have seen, for the rules of challenges.
    """

    name: str
    revision: str
    settings: dict[str, Any]
    streams: dict[str, int]
    licence: str
    trained_on: str


@runtime_checkable
class VisualEncoder(Encoder, Protocol):
    """Encodes face crops."""

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes aligned RGB crops (N, H, W, 3) uint8 into stream name to (N, D) float32."""
        ...


@runtime_checkable
class AudioEncoder(Encoder, Protocol):
    """Encodes sound.

    Attributes:
        rate: Sampling rate that `encode_sound` expects, in Hz.
    """

    rate: int

    def encode_sound(self, blocks: Iterable[np.ndarray]) -> Tokens:
        """Encodes consecutive blocks of mono float32 samples; memory does not grow with length.

        Sound that is shorter than one token gives T = 0.
        """
        ...
