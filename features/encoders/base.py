"""What an encoder is.

Visual: face crops (N, H, W, 3) > `encode` > one vector per crop and stream.
Audio: blocks of mono sound > `encode` > one vector per token and stream, with the tokens' centres.

Letters: N crops, T tokens, D feature dimensions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from features.errors import UserError
from features.store.hashing import settings_hash, weights_hash

__all__ = [
    "READY",
    "AudioEncoder",
    "Described",
    "Description",
    "Encoder",
    "EncoderClass",
    "Status",
    "Tokens",
    "VisualEncoder",
    "description_of",
    "inference",
    "revision_of",
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
class Description:
    """What an encoder is, by its configuration and the hash of its weights, which need not be read.

    Attributes:
        name: Name in configs, e.g. `wav2vec2`.
        input: What it takes, in words, e.g. `face 48x48 grey` or `sound 16000 Hz`.
        revision: Hash of the weights, or of the version of the code where there are none.
        settings: Every setting that changes the output.
        streams: Stream name to dimension D, e.g. `{"expression": 256, "expression.probs": 7}`.
        licence: Licence of the weights.
        trained_on: Data that the weights have seen, for the rules of challenges.
        rate: Sampling rate of the sound it takes, in Hz; 0 if it takes faces.
        token_rate: Tokens per second of sound; 0 if it takes faces.
    """

    name: str
    input: str
    revision: str
    settings: dict[str, Any]
    streams: dict[str, int]
    licence: str
    trained_on: str
    rate: int = 0
    token_rate: float = 0.0

    @property
    def hears(self) -> bool:
        """Whether it takes sound."""
        return self.rate > 0


class Described:
    """An encoder that has what its description says as attributes of its own.

    Args:
        about: The description.
    """

    name: str
    input: str
    revision: str
    settings: dict[str, Any]
    streams: dict[str, int]
    licence: str
    trained_on: str
    rate: int
    token_rate: float

    def __init__(self, about: Description) -> None:
        vars(self).update(vars(about))


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
    """Members that all encoders share; the attributes are those of `Description`."""

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


class EncoderClass(Protocol):
    """A class of encoders that the registry knows: what can be told before one is built."""

    @classmethod
    def describe(cls, settings: Any, margin: float = 0.0) -> Description:
        """What the encoder with these settings would be, without its weights in memory.

        Args:
            settings: Of its own.
            margin: Share by which face crops show more than the close view.

        Raises:
            UserError: If it could not be built, as far as that is seen without reading the weights.
        """
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


def description_of(encoder: Encoder) -> Description:
    """What an encoder that is built says of itself."""
    return Description(
        name=encoder.name,
        input=encoder.input,
        revision=encoder.revision,
        settings=encoder.settings,
        streams=encoder.streams,
        licence=encoder.licence,
        trained_on=encoder.trained_on,
        rate=encoder.rate if isinstance(encoder, AudioEncoder) else 0,
        token_rate=encoder.token_rate if isinstance(encoder, AudioEncoder) else 0.0,
    )


def revision_of(weights: Path, remedy: str) -> str:
    """Hash of a file of weights, which are not read otherwise.

    Raises:
        UserError: If it is absent.
    """
    if not weights.is_file():
        raise UserError(f"{weights}: weights are absent; {remedy}")
    return weights_hash(weights)


P = ParamSpec("P")
R = TypeVar("R")


def inference(run: Callable[P, R]) -> Callable[P, R]:
    """`torch.inference_mode()` for a function of a module that does not load torch by itself."""

    @wraps(run)
    def running(*args: P.args, **kwargs: P.kwargs) -> R:
        import torch

        with torch.inference_mode():
            return run(*args, **kwargs)

    return running
