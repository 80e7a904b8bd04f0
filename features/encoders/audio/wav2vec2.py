"""wav2vec 2.0 and its kin (HuBERT, WavLM, data2vec): speech models that hear the raw waveform.

Data flow: blocks > Spool > [statistics of the whole sound] > chunks > convolutions > transformer >
mean of some layers > tokens, 50 a second.

A long sound gives the tokens of the sound in one piece, as closely as the model allows:

- Everything that is normalised over time (the waveform, where the checkpoint asks for it, and the
  group norm of the first convolution) uses the statistics of the whole sound, gathered beforehand.
- Chunks are of equal length and begin on the token grid, so the convolutions give the same numbers.
- Chunks overlap, and each token comes from the chunk in which it is farthest from a border. With
  the default overlap that is 2 s, more than the positional convolution hears (64 tokens, 1.28 s).

So hidden state 0 is equal up to rounding (tested: 1e-4). What is left is self-attention, which
hears the chunk instead of the whole sound; a sound of up to one chunk is one piece and exact.
Tolerance found with the defaults (20 s, overlap 4 s) on a minute of speech, random weights of both
kinds (group and layer norm) with sharpened attention: every token's cosine with that of one piece,
both less the mean token, is above .999, near the cuts too; median relative error .01. An overlap
of 2 s would give .985 at the cuts, none .91. The packaged network hears how long a piece is:
cosine .997 in the median, .989 at the lowest 1 %, .972 at least, relative error .08, the same at
the cuts as away from them. See experiments/results/chunking.md.

Letters: N samples, T tokens, D feature dimensions, C channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from features.encoders.audio.chunking import Piece, TokenGrid, joined_on_disk, plan
from features.encoders.base import READY, BaseEncoder, Description, Status, Tokens, inference
from features.encoders.hf_checkpoint import Checkpoint, hidden_states
from features.errors import UserError
from features.media.sound.audio_cache import Moments, Spool, spooled

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

    from features.encoders.audio.whole_sound_norm import WholeSoundNorm

PACKAGED = Path(__file__).parents[1] / "weights/wav2vec2"
"""Folder of the checkpoint that comes with the project, written by its training."""

_OPTION = "--wav2vec2.model"
_NOT_PACKAGED = f"install the package anew, or give another checkpoint by {_OPTION}"
_UNUSED = ("masked_spec_embed",)
"""Weights for training only, which many checkpoints lack."""
_SHAPE = (
    *("model_type", "conv_kernel", "conv_stride", "feat_extract_norm"),
    *("num_conv_pos_embeddings", "num_hidden_layers", "hidden_size"),
)
"""What the configuration must say for the encoder to be described."""
_STATISTICS_STEP = 6400
"""Outputs of the first convolution per step of the statistics: 2 s, some 13 MB for 512 channels."""

_KNOWN = {
    "packaged": (
        "Apache-2.0 for the weights; the speech corpora: see the model card",
        "distilled from Whisper tiny.en's encoder on LibriSpeech, EmoDB, nEMO, speechocean762 and"
        " URDU clips (3.6 h), no labels",
    ),
    "facebook/wav2vec2-base": ("Apache-2.0", "LibriSpeech 960 h, no transcripts"),
    "facebook/wav2vec2-base-960h": ("Apache-2.0", "LibriSpeech 960 h"),
    "facebook/wav2vec2-large": ("Apache-2.0", "LibriSpeech 960 h, no transcripts"),
    "facebook/hubert-base-ls960": ("Apache-2.0", "LibriSpeech 960 h, no transcripts"),
    "facebook/data2vec-audio-base": ("Apache-2.0", "LibriSpeech 960 h, no transcripts"),
    "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim": (
        "CC BY-NC-SA 4.0",
        "Libri-Light, CommonVoice, Switchboard, Fisher; MSP-Podcast with its emotion labels",
    ),
}


@dataclass(frozen=True)
class Wav2Vec2Settings:
    """Settings of the wav2vec2 encoder.

    Args:
        model: `packaged` for the small one that comes with the project; or a name on the Hugging
            Face hub, or a folder, of a wav2vec 2.0, HuBERT, WavLM or data2vec-audio checkpoint.
            Heads, such as those of speech-emotion models, are left out.
        layers: Hidden states to average: 0 is the input of the transformer, 1 its first layer, -1
            its last. If empty, the last four layers (or all, if there are fewer), as MERBench takes
            them (Lian et al. 2024); several layers tell emotion better than the last alone (Pepino
            et al. 2021).
        chunk: Length of the chunks that longer sound is cut into, in seconds.
        overlap: Overlap of neighbouring chunks in seconds.
        stream: Name of the stream.
    """

    model: str = "packaged"
    layers: list[int] = field(default_factory=list)
    chunk: float = 20.0
    overlap: float = 4.0
    stream: str = "wav2vec2"


class Wav2Vec2Encoder(BaseEncoder):
    """An `AudioEncoder`; token j of hop 320 and field 400 is centred at (320 j + 200) / 16000 s."""

    name = "wav2vec2"
    settings_type = Wav2Vec2Settings

    def _open(self, settings: Wav2Vec2Settings) -> None:
        import transformers

        checkpoint = _find(settings.model)
        config = checkpoint.config()
        self._normalize, self._layers = self.settings["normalize"], self.settings["layers"]
        self._grid = TokenGrid.of_convolutions(config.conv_kernel, config.conv_stride, self.rate)
        self._first = TokenGrid(config.conv_stride[0], config.conv_kernel[0], self.rate)
        self._chunk, self._overlap = _chunk_tokens(settings, self._grid)
        self._stream = settings.stream
        self._model: Any = checkpoint.load(transformers.AutoModel, _UNUSED, trust_remote_code=False)
        self._model.to(self._device)
        self._norm = _replace_group_norm(self._model)

    @classmethod
    def describe(cls, settings: Wav2Vec2Settings, margin: float = 0.0) -> Description:
        """What it would be; UserError for another kind of model, or settings that make no sense."""
        checkpoint = _find(settings.model)
        config = checkpoint.config(*_SHAPE)
        _check_kind(config, checkpoint)
        preprocessor = checkpoint.preprocessor("sampling_rate", "do_normalize")
        return _description(settings, checkpoint, config, preprocessor)

    @classmethod
    def status(cls, settings: Wav2Vec2Settings) -> Status:
        """Whether the checkpoint is on this disk."""
        if settings.model != "packaged":
            return Checkpoint.status(settings.model, _OPTION)
        return READY if PACKAGED.is_dir() else Status("needs weights", _NOT_PACKAGED)

    @inference
    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """Encodes consecutive blocks (N,) of mono sound; see `AudioEncoder`."""
        with spooled(blocks) as sound:
            total = self._grid.count(len(sound))
            if self._norm and total:
                self._norm.fix(self._first_moments(sound))
            pieces = plan(total, self._chunk, self._overlap)
            parts = (self._encode(sound, piece)[piece.kept_here] for piece in pieces)
            values = joined_on_disk(parts, self.streams[self._stream], dtype)
        return Tokens({self._stream: values}, self._grid.centres(total))

    def _encode(self, sound: Spool, piece: Piece) -> np.ndarray:
        """Mean of the wanted hidden states over one piece, (T, D)."""
        import torch

        samples = sound.read(*self._grid.samples_of(piece.start, piece.stop))
        wave = self._prepare(sound, samples)
        states = self._model(wave, output_hidden_states=True).hidden_states
        mean: np.ndarray = torch.stack([states[i][0] for i in self._layers]).mean(0).cpu().numpy()
        return mean

    def _prepare(self, sound: Spool, samples: np.ndarray) -> "Tensor":
        """(N,) samples to (1, N), at zero mean and unit variance of the whole sound if need be."""
        import torch

        wave = torch.from_numpy(samples).to(self._device)
        if self._normalize:
            # The feature extractor's formula and its 1e-7.
            wave = (wave - sound.mean) / (sound.variance + 1e-7) ** 0.5
        return wave[None]

    def _first_moments(self, sound: Spool) -> Moments:
        """Mean and variance of each channel of the first convolution over the whole sound."""
        convolution = self._model.feature_extractor.conv_layers[0].conv
        moments = Moments(convolution.out_channels)
        for samples in self._first.walk(sound, _STATISTICS_STEP):
            moments.add(convolution(self._prepare(sound, samples)[None])[0].cpu().numpy())
        return moments


def _description(
    settings: Wav2Vec2Settings, checkpoint: Checkpoint, config: Any, preprocessor: Any
) -> Description:
    """What an encoder of these settings is; UserError if they make no sense."""
    rate = int(preprocessor.sampling_rate)
    grid = TokenGrid.of_convolutions(config.conv_kernel, config.conv_stride, rate)
    _chunk_tokens(settings, grid)
    depth = config.num_hidden_layers
    wanted = settings.layers or list(range(-min(4, depth), 0))
    licence, trained_on = _KNOWN.get(settings.model, (f"see the card of {settings.model}",) * 2)
    return Description(
        name=Wav2Vec2Encoder.name,
        input=f"sound {rate} Hz",
        revision=checkpoint.revision,
        settings={
            "layers": hidden_states(wanted, depth, settings.model, "--wav2vec2.layers"),
            "chunk": settings.chunk,
            "overlap": settings.overlap,
            "normalize": bool(preprocessor.do_normalize),
        },
        streams={settings.stream: int(config.hidden_size)},
        licence=licence,
        trained_on=trained_on,
        rate=rate,
        token_rate=rate / grid.hop,
    )


def _replace_group_norm(model: Any) -> "WholeSoundNorm | None":
    """Puts a WholeSoundNorm in place of the first convolution's group norm, if it has one."""
    from torch import nn

    from features.encoders.audio.whole_sound_norm import WholeSoundNorm

    first = model.feature_extractor.conv_layers[0]
    if not isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
        return None
    first.layer_norm = norm = WholeSoundNorm(first.layer_norm)
    return norm


def _find(model: str) -> Checkpoint:
    """The packaged checkpoint, or the one of that name or folder."""
    if model != "packaged":
        return Checkpoint.find(model, _OPTION)
    if not PACKAGED.is_dir():
        raise UserError(f"{PACKAGED}: weights are absent; {_NOT_PACKAGED}")
    return Checkpoint.find(str(PACKAGED), _OPTION)


def _check_kind(config: Any, checkpoint: Checkpoint) -> None:
    """Raises UserError unless the model is an encoder that hears raw waveforms."""
    wanted = ("conv_kernel", "conv_stride", "feat_extract_norm", "num_conv_pos_embeddings")
    hears = all(hasattr(config, name) for name in wanted) or config.model_type == "data2vec-audio"
    if (
        not hears
        or getattr(config, "is_encoder_decoder", False)
        or hasattr(config, "squeeze_factor")
    ):
        raise UserError(
            f"{checkpoint.model} is a '{config.model_type}' model, not a wav2vec 2.0, HuBERT,"
            f" WavLM or data2vec-audio one; give another by {_OPTION}"
        )


def _chunk_tokens(settings: Wav2Vec2Settings, grid: TokenGrid) -> tuple[int, int]:
    """Length and overlap of the chunks in tokens; UserError if they make no sense."""
    length, overlap = grid.tokens_in(settings.chunk), round(settings.overlap * grid.rate / grid.hop)
    if not 0 <= overlap < length:
        raise UserError(
            f"--wav2vec2.overlap {settings.overlap} must be at least 0 and"
            f" below --wav2vec2.chunk {settings.chunk}"
        )
    return length, overlap
