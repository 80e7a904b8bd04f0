"""What an encoder is.

Faces: crops (N, H, W, 3) > `encode_faces` > one vector per crop and stream.
Sound: blocks of mono samples > `encode_sound` > Tokens.
Anything else: the recording, or a file beside it > `encode_file` > Tokens.

Letters: N crops, T tokens, D feature dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Literal, ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from features.encoders.tokens import Tokens
from features.errors import UserError
from features.store.fingerprint import settings_hash, weights_hash

__all__ = [
    "READY",
    "AudioEncoder",
    "BaseEncoder",
    "Description",
    "Encoder",
    "Status",
    "TokenEncoder",
    "Tokens",
    "VisualEncoder",
    "description_of",
    "inference",
    "revision_of",
    "settings_hash",
    "weights_hash",
]

Kind = Literal["faces", "sound", "file"]
"""What an encoder takes."""


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
        rate: Sampling rate of the sound it takes, in Hz; 0 if it takes no sound.
        token_rate: Tokens per second of sound; 0 if it takes no sound.
        reads: Of a `TokenEncoder`: endings of the file beside the recording that it reads, the
            best first; none for the recording itself. None of other encoders.
        columns: Stream name to names of its D columns, where they have names; of some encoders they
            are known only when it is built.
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
    reads: tuple[str, ...] | None = None
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def kind(self) -> Kind:
        """What it takes."""
        if self.reads is not None:
            return "file"
        return "sound" if self.rate else "faces"


class Encoder(Protocol):
    """Members that all encoders share; the attributes are those of `Description`.

    `columns`, if there is such an attribute, names the columns of its streams.
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


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """Encodes any other modality: pose, the text of a transcript, physiology.

    Attributes:
        reads: As of `Description`: `()` for the recording itself, else endings of a file of the
            recording's name, e.g. `(".vtt", ".csv")`.
    """

    reads: tuple[str, ...]

    def encode_file(self, path: Path) -> Tokens:
        """Encodes a file; times are seconds after the first video frame, or of the sound.

        Raises:
            UserError: If it cannot be understood; names the file.
        """
        ...


class BaseEncoder(ABC):
    """What encoders share; a subclass describes, tells its status, opens and encodes.

    Args:
        settings: Of its `settings_type`, a dataclass whose fields all have defaults and the first
            line of whose docstring is shown in help; None: the defaults.
        margin: Share by which face crops show more than the close view.
        device: Where to compute, e.g. `cpu` or `cuda`.

    Raises:
        UserError: If it lacks something (`status`), or its settings make no sense.
    """

    settings_type: ClassVar[type]
    name: str
    input: str
    revision: str
    settings: dict[str, Any]
    streams: dict[str, int]
    licence: str
    trained_on: str
    rate: int
    token_rate: float
    columns: dict[str, tuple[str, ...]]

    def __init__(self, settings: Any = None, *, margin: float = 0.0, device: Any = "cpu") -> None:
        settings = self.settings_type() if settings is None else settings
        self._margin, self._device = margin, device
        self._is(self.describe(settings, margin))
        self._open(settings)

    @classmethod
    @abstractmethod
    def describe(cls, settings: Any, margin: float = 0.0) -> Description:
        """What the encoder with these settings would be, without its weights in memory.

        Raises:
            UserError: If it could not be built, as far as that is seen without reading the weights.
        """

    @classmethod
    def status(cls, settings: Any) -> Status:
        """Whether it can run here with these settings of its own; loads nothing."""
        return READY

    def _is(self, about: Description) -> None:
        """Takes what the description says as attributes of its own."""
        vars(self).update({one.name: getattr(about, one.name) for one in fields(Description)})

    def _open(self, settings: Any) -> None:  # noqa: B027 - not every encoder loads something
        """Loads what encoding needs, onto `_device`."""


def description_of(encoder: Encoder) -> Description:
    """What an encoder that is built says of itself."""
    said = {one.name: getattr(encoder, one.name) for one in fields(Description)[:7]}
    if isinstance(encoder, AudioEncoder):
        said |= {"rate": encoder.rate, "token_rate": encoder.token_rate}
    elif isinstance(encoder, TokenEncoder):
        said["reads"] = encoder.reads
    return Description(**said, columns=getattr(encoder, "columns", {}))


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
