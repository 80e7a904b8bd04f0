"""The encoder half of Whisper (Radford et al. 2022).

Data flow: blocks > Spool > pieces of at most 30 s > log-mel, padded to 30 s > encoder > mean of
some layers, or each of them > tokens, 50 a second, without those of the padding.

Whisper hears exactly 30 s: shorter sound is padded with silence, as in its training. Longer sound
is cut into pieces of 30 s that overlap; each token comes from the piece in which it is farthest
from a border.

Letters: N samples, T tokens, D feature dimensions.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from features.encoders.audio.chunking import Piece, TokenGrid, joined_on_disk, plan
from features.encoders.base import BaseEncoder, Description, Status, Tokens, inference
from features.encoders.hf_checkpoint import Checkpoint, hidden_states
from features.errors import UserError
from features.media.sound.audio_cache import Spool, spooled

_OPTION = "--whisper.model"
_PREFIX = {r"^(model\.)?encoder\.": ""}
"""Without this mapping transformers finds no weight of the encoder in a whole model's file."""


@dataclass(frozen=True)
class WhisperSettings:
    """Settings of the whisper encoder.

    Args:
        model: Name on the Hugging Face hub, or folder, of a Whisper checkpoint.
        layers: Hidden states to average: 0 is the input of the transformer, 1 its first layer, -1
            its last (after the final norm).
        apart: Whether each of them is a stream of its own, `whisper.2` of layer 2, instead.
        overlap: Overlap of neighbouring pieces of 30 s, in seconds.
        stream: Name of the stream.
    """

    model: str = "openai/whisper-tiny"
    layers: list[int] = field(default_factory=lambda: [-1])
    apart: bool = False
    overlap: float = 4.0
    stream: str = "whisper"


class WhisperEncoder(BaseEncoder):
    """An `AudioEncoder`; token j is centred at (j + .5) * .02 s, of ceil(N / 320)."""

    name = "whisper"
    settings_type = WhisperSettings

    def _open(self, settings: WhisperSettings) -> None:
        import transformers

        checkpoint = Checkpoint.find(settings.model, _OPTION)
        config = checkpoint.config()
        self._mel: Any = checkpoint.preprocessor()
        self._grid, self._layers = _grid(config, self._mel), self.settings["layers"]
        self._length = int(config.max_source_positions)
        self._overlap = _overlap_tokens(settings.overlap, self._grid, self._length)
        self._apart = settings.apart
        encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder
        self._model: Any = checkpoint.load(encoder, key_mapping=_PREFIX)
        self._model.to(self._device)

    @classmethod
    def describe(cls, settings: WhisperSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError for another model, or settings that make no sense."""
        checkpoint = Checkpoint.find(settings.model, _OPTION)
        config = checkpoint.config(
            "model_type", "max_source_positions", "encoder_layers", "d_model"
        )
        _check_kind(config, settings)
        mel = checkpoint.preprocessor("sampling_rate", "n_samples")
        return _description(settings, checkpoint, config, mel)

    @classmethod
    def status(cls, settings: WhisperSettings) -> Status:
        """Whether the checkpoint is on this disk."""
        return Checkpoint.status(settings.model, _OPTION)

    @inference
    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks (N,) of mono sound; see `AudioEncoder`."""
        with spooled(blocks) as sound:
            hop = self._grid.hop
            total = -(-len(sound) // hop) if len(sound) >= hop else 0
            pieces = plan(total, self._length, self._overlap)
            parts = (self._encode(sound, piece)[piece.kept_here] for piece in pieces)
            values = joined_on_disk(parts, sum(self.streams.values()), dtype)
        each = np.split(values, len(self.streams), axis=1)
        return Tokens(dict(zip(self.streams, each, strict=True)), self._grid.centres(total))

    def _encode(self, sound: Spool, piece: Piece) -> np.ndarray:
        """What is wanted of one piece and its padding, (1500, D); several streams side by side."""
        import torch

        samples = sound.read(*self._grid.samples_of(piece.start, piece.stop))
        mel = self._mel(samples, sampling_rate=self.rate, return_tensors="pt").input_features
        states = self._model(mel.to(self._device), output_hidden_states=True).hidden_states
        wanted = torch.stack([states[i][0] for i in self._layers], dim=1)  # (1500, layers, D)
        rows: np.ndarray = (wanted.flatten(1) if self._apart else wanted.mean(1)).cpu().numpy()
        return rows


def _check_kind(config: Any, settings: WhisperSettings) -> None:
    """Raises UserError for another model than Whisper."""
    if config.model_type != "whisper":
        raise UserError(
            f"{settings.model} is a '{config.model_type}' model, not Whisper; give one by {_OPTION}"
        )


def _grid(config: Any, mel: Any) -> TokenGrid:
    """Where the tokens are."""
    hop = mel.n_samples // config.max_source_positions
    return TokenGrid(hop, hop, int(mel.sampling_rate))


def _description(
    settings: WhisperSettings, checkpoint: Checkpoint, config: Any, mel: Any
) -> Description:
    """What an encoder of these settings is; UserError if they make no sense."""
    grid = _grid(config, mel)
    _overlap_tokens(settings.overlap, grid, int(config.max_source_positions))
    depth = config.encoder_layers
    layers = hidden_states(settings.layers, depth, settings.model, "--whisper.layers")
    apart = {"apart": True} if settings.apart else {}
    names = [f"{settings.stream}.{layer}" for layer in layers] if apart else [settings.stream]
    official = settings.model.startswith("openai/whisper-")
    card = f"see the card of {settings.model}"
    return Description(
        name=WhisperEncoder.name,
        input=f"sound {grid.rate} Hz",
        revision=checkpoint.revision,
        settings={"layers": layers, "overlap": settings.overlap} | apart,
        streams=dict.fromkeys(names, int(config.d_model)),
        licence="MIT" if official else card,
        trained_on="transcribed speech from the web, collected by OpenAI" if official else card,
        rate=grid.rate,
        token_rate=grid.rate / grid.hop,
    )


def _overlap_tokens(seconds: float, grid: TokenGrid, length: int) -> int:
    """The overlap in tokens; UserError if it makes no sense."""
    overlap = round(seconds * grid.rate / grid.hop)
    if not 0 <= overlap < length:
        raise UserError(f"--whisper.overlap {seconds} must be at least 0 and below 30")
    return overlap
