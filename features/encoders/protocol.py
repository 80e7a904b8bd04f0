"""What an encoder is.

Visual: face crops (N, H, W, 3) > `encode` > one vector per crop and stream.
Audio: blocks of mono sound > `encode` > one vector per token and stream, with the tokens' centres.

Letters: N crops, T tokens, D feature dimensions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from features.hashing import settings_hash, weights_hash

__all__ = [
    "READY",
    "AudioEncoder",
    "Encoder",
    "Status",
    "Tokens",
    "VisualEncoder",
    "settings_hash",
    "weights_hash",
]


@dataclass(frozen=True)
class Status:
    """Whether an encoder can run here, told without loading it.

    Attributes:
        word: `ready`, `needs download`, `needs extra`, `needs weights` or `needs training`.
        remedy: What to do about it, in one line; empty if ready.
    """

    word: str
    remedy: str = ""


READY = Status("ready")


@dataclass(frozen=True)
class Tokens:
    """What an audio encoder heard.

    Attributes:
        values: stream name to (T, D) float32, or of the type asked for.
        times: (T,) float64, centres of the tokens in seconds after the first sample.
    """

    values: dict[str, np.ndarray]
    times: np.ndarray


class Encoder(Protocol):
    """Members that all encoders share.

    Attributes:
        name: Name in configs, e.g. `wav2vec2`.
        input: What it takes, in words, e.g. `face 48x48 grey` or `sound 16000 Hz`.
        revision: Hash of the weights, or of the version of the code where there are none.
        settings: Every setting that changes the output.
        streams: Stream name to dimension D, e.g. `{"expression": 256, "expression.probs": 7}`.
        licence: Licence of the weights.
        trained_on: Data that the weights have seen, for the rules of challenges.
    """

    name: str
    input: str
    revision: str
    settings: dict[str, Any]
    streams: dict[str, int]
    licence: str
    trained_on: str

    @classmethod
    def status(cls, settings: Any) -> Status:
        """Whether the encoder can run here with these settings of its own; loads nothing."""
        ...


@runtime_checkable
class VisualEncoder(Encoder, Protocol):
    """Encodes face crops."""

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes aligned RGB crops (N, H, W, 3) uint8 into stream name to (N, D) float32.

        N may be 0. H and W are any; the encoder resizes to what its network sees.
        """
        ...


@runtime_checkable
class AudioEncoder(Encoder, Protocol):
    """Encodes sound.

    Attributes:
        rate: Sampling rate that `encode_sound` expects, in Hz.
        token_rate: Tokens per second of sound.
    """

    rate: int
    token_rate: float

    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks of mono float32 samples; only the tokens grow with length.

        They are of type `dtype`: float16 halves what an hour takes.

        Sound that is shorter than one token gives T = 0.
        """
        ...
