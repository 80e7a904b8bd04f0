"""Names of encoders and how they are built."""

import difflib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from features.encoders.audio.egemaps import EgemapsEncoder, EgemapsSettings
from features.encoders.audio.prosody import ProsodyEncoder, ProsodySettings
from features.encoders.audio.wav2vec2 import Wav2Vec2Encoder, Wav2Vec2Settings
from features.encoders.audio.whisper import WhisperEncoder, WhisperSettings
from features.encoders.base import AudioEncoder, Description, EncoderClass, VisualEncoder
from features.encoders.device import resolve_device
from features.encoders.visual.deviation import DeviationEncoder, DeviationSettings
from features.encoders.visual.emotieff import EmotieffEncoder, EmotieffSettings
from features.encoders.visual.expression import ExpressionEncoder, ExpressionSettings
from features.encoders.visual.facenet import FacenetEncoder, FacenetSettings
from features.encoders.visual.hf_image import HfImageEncoder, HfImageSettings
from features.encoders.visual.mae import MaeEncoder, MaeSettings
from features.encoders.visual.pyramid import PyramidEncoder, PyramidSettings
from features.errors import UserError
from features.store.feature_track import DamagedTrack
from features.store.track_store import CLOCK, TrackStore

VISUAL: dict[str, Any] = {
    "expression": ExpressionEncoder,
    "pyramid": PyramidEncoder,
    "deviation": DeviationEncoder,
    "mae": MaeEncoder,
    "hf-image": HfImageEncoder,
    "facenet": FacenetEncoder,
    "emotieff": EmotieffEncoder,
}
AUDIO: dict[str, Any] = {
    "wav2vec2": Wav2Vec2Encoder,
    "whisper": WhisperEncoder,
    "prosody": ProsodyEncoder,
    "egemaps": EgemapsEncoder,
}


@dataclass
class EncoderSettings:
    """Settings of every encoder, by its name.

    Args:
        device: Where encoders, and models that predict, compute: `auto` (a GPU if there is one),
            `cpu`, `cuda:1`, ...
        expression: Packaged visual encoder.
        pyramid: Pooled maps of several stages of a convolutional network.
        deviation: Deviation from identity (PASN), to be trained first.
        mae: Masked autoencoder or other vision transformer.
        hf_image: Any image model of transformers.
        facenet: Face recognition.
        emotieff: EmotiEffLib's expression networks.
        wav2vec2: Speech encoder of the wav2vec2 kind.
        whisper: Whisper's speech encoder.
        prosody: Pitch, energy and mel spectrum, without weights.
        egemaps: eGeMAPS functionals of openSMILE.
    """

    device: str = "auto"
    expression: ExpressionSettings = field(default_factory=ExpressionSettings)
    pyramid: PyramidSettings = field(default_factory=PyramidSettings)
    deviation: DeviationSettings = field(default_factory=DeviationSettings)
    mae: MaeSettings = field(default_factory=MaeSettings)
    hf_image: HfImageSettings = field(default_factory=HfImageSettings)
    facenet: FacenetSettings = field(default_factory=FacenetSettings)
    emotieff: EmotieffSettings = field(default_factory=EmotieffSettings)
    wav2vec2: Wav2Vec2Settings = field(default_factory=Wav2Vec2Settings)
    whisper: WhisperSettings = field(default_factory=WhisperSettings)
    prosody: ProsodySettings = field(default_factory=ProsodySettings)
    egemaps: EgemapsSettings = field(default_factory=EgemapsSettings)

    def of(self, name: str) -> Any:
        """Settings of one encoder."""
        return getattr(self, name.replace("-", "_"))


def encoder_class(name: str) -> Any:
    """The class of an encoder.

    Raises:
        UserError: For an unknown name.
    """
    known = {**VISUAL, **AUDIO}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        raise UserError(f"unknown encoder '{name}'; {hint}")
    return known[name]


def describe_encoder(name: str, settings: EncoderSettings, margin: float = 0.0) -> Description:
    """What `build_encoder` would give, without weights in memory.

    Raises:
        UserError: For an unknown name, or weights that cannot be had.
    """
    kind: EncoderClass = encoder_class(name)
    return kind.describe(settings.of(name), margin)


def build_encoder(
    name: str, settings: EncoderSettings, margin: float = 0.0
) -> VisualEncoder | AudioEncoder:
    """Makes an encoder ready to run.

    Args:
        name: Key of `VISUAL` or `AUDIO`.
        settings: Settings of all encoders, and the device.
        margin: Share by which crops show more than the close view (`FaceSettings.margin`).

    Raises:
        UserError: For an unknown name, an absent device, or weights that cannot be had.
    """
    kind, own, device = encoder_class(name), settings.of(name), resolve_device(settings.device)
    if name in VISUAL:
        visual: VisualEncoder = kind(own, margin=margin, device=device)
        return visual
    audio: AudioEncoder = kind(own, device=device)
    return audio


def encoder_of(stream: str) -> str:
    """Encoder that makes a stream by default: the part of the name before the first dot."""
    return stream.split(".")[0]


def require_streams_of_their_own(encoders: Iterable[Description], store: TrackStore) -> None:
    """Checks that no encoder writes a stream of another one, of an import, or that of the faces.

    Args:
        encoders: Those that are to run.
        store: Where they write; the first track of each stream tells whose it is.

    Raises:
        UserError: If so; they would overwrite each other's tracks for ever.
    """
    makers = {CLOCK: "the search for faces"}
    for encoder in encoders:
        for stream in encoder.streams:
            mine = f"encoder {encoder.name}"
            other = makers.get(stream) or _maker_in(store, stream)
            twice, makers[stream] = stream in makers, mine
            if twice or other not in ("", mine):
                raise UserError(
                    f"stream '{stream}' would come from {other} and from {mine}; leave one out of"
                    f" --encoders, or name another stream in the settings of {encoder.name}"
                )


def _maker_in(store: TrackStore, stream: str) -> str:
    """Who made the stream in a store; empty without a whole track."""
    for track_id in store.ids(stream)[:1]:
        with suppress(DamagedTrack, FileNotFoundError):
            return f"encoder {store.info(stream, track_id).encoder}"
    return ""
