"""Names of encoders and how they are built."""

from dataclasses import dataclass, field

from features.cli import UserError
from features.encoders.expression import ExpressionEncoder, ExpressionSettings
from features.encoders.prosody import ProsodyEncoder, ProsodySettings
from features.encoders.protocol import AudioEncoder, VisualEncoder
from features.encoders.wav2vec2 import Wav2Vec2Encoder, Wav2Vec2Settings
from features.encoders.whisper import WhisperEncoder, WhisperSettings

VISUAL = {"expression": ExpressionEncoder}
AUDIO = {"wav2vec2": Wav2Vec2Encoder, "whisper": WhisperEncoder, "prosody": ProsodyEncoder}


@dataclass
class EncoderSettings:
    """Settings of every encoder, by its name.

    Args:
        expression: Packaged visual encoder.
        wav2vec2: Speech encoder of the wav2vec2 kind.
        whisper: Whisper's speech encoder.
        prosody: Pitch, energy and mel spectrum, without weights.
    """

    expression: ExpressionSettings = field(default_factory=ExpressionSettings)
    wav2vec2: Wav2Vec2Settings = field(default_factory=Wav2Vec2Settings)
    whisper: WhisperSettings = field(default_factory=WhisperSettings)
    prosody: ProsodySettings = field(default_factory=ProsodySettings)


def build_encoder(
    name: str, settings: EncoderSettings, margin: float = 0.0
) -> VisualEncoder | AudioEncoder:
    """Makes an encoder ready to run.

    Args:
        name: Key of `VISUAL` or `AUDIO`.
        settings: Settings of all encoders.
        margin: Share by which crops show more than the close view (`FaceSettings.margin`).

    Raises:
        UserError: For an unknown name, or weights that cannot be had.
    """
    if name in VISUAL:
        return VISUAL[name](getattr(settings, name), margin=margin)
    if name in AUDIO:
        encoder: AudioEncoder = AUDIO[name](getattr(settings, name))
        return encoder
    raise UserError(f"unknown encoder '{name}'; known are {', '.join([*VISUAL, *AUDIO])}")


def encoder_of(stream: str) -> str:
    """Encoder that makes a stream by default: the part of the name before the first dot."""
    return stream.split(".")[0]
