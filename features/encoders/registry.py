"""Names of encoders and how they are built.

An encoder of this project registers itself by its line in `ENCODERS`, one of another package by an
entry point of the group `affuse.encoders`:

    [project.entry-points."affuse.encoders"]
    transcript = "my_package.transcript:TranscriptEncoder"

Either is a `BaseEncoder` and a `VisualEncoder`, `AudioEncoder` or `TokenEncoder` (base.py). Its
settings become options of every command: `--transcript.stream`.
"""

import difflib
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, dataclass_transform

from features.encoders.base import BaseEncoder, Description, Kind
from features.encoders.device import resolve_device
from features.errors import UserError
from features.store.feature_track import DamagedTrack
from features.store.track_store import CLOCK, TrackStore

GROUP = "affuse.encoders"
"""Group of entry points by which other packages add encoders."""
_HERE = "features.encoders"
ENCODERS: dict[str, Any] = {
    "expression": f"{_HERE}.visual.expression:ExpressionEncoder",
    "face": f"{_HERE}.visual.face.encoder:FaceEncoder",
    "pyramid": f"{_HERE}.visual.pyramid:PyramidEncoder",
    "deviation": f"{_HERE}.visual.deviation:DeviationEncoder",
    "mae": f"{_HERE}.visual.mae:MaeEncoder",
    "hf-image": f"{_HERE}.visual.hf_image:HfImageEncoder",
    "blendshapes": f"{_HERE}.visual.blendshapes:BlendshapesEncoder",
    "facenet": f"{_HERE}.visual.facenet:FacenetEncoder",
    "emotieff": f"{_HERE}.visual.emotieff:EmotieffEncoder",
    "wav2vec2": f"{_HERE}.audio.wav2vec2:Wav2Vec2Encoder",
    "whisper": f"{_HERE}.audio.whisper:WhisperEncoder",
    "prosody": f"{_HERE}.audio.prosody:ProsodyEncoder",
    "speech": f"{_HERE}.audio.speech:SpeechEncoder",
    "egemaps": f"{_HERE}.audio.egemaps:EgemapsEncoder",
}
"""Name to class, or to the place of a class that is not loaded yet."""

log = logging.getLogger(__name__)


def encoder_class(name: str) -> type[BaseEncoder]:
    """The class of an encoder.

    Raises:
        UserError: For an unknown name.
    """
    if name not in ENCODERS:
        near = difflib.get_close_matches(name, ENCODERS, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(ENCODERS)}"
        raise UserError(f"unknown encoder '{name}'; {hint}")
    if isinstance(ENCODERS[name], str):
        ENCODERS[name] = EntryPoint(name, ENCODERS[name], GROUP).load()
    kind: type[BaseEncoder] = ENCODERS[name]
    return kind


def encoder_names(kind: Kind) -> list[str]:
    """Names of the encoders that take faces, sound, or a file."""
    by_method = {"faces": "encode_faces", "sound": "encode_sound", "file": "encode_file"}
    return [name for name in ENCODERS if hasattr(encoder_class(name), by_method[kind])]


def _add_others() -> None:
    """Registers the encoders of other packages; one that cannot be loaded is left out."""
    for place in entry_points(group=GROUP):
        try:
            if place.name in ENCODERS:
                raise ValueError("there is one of that name")
            ENCODERS[place.name] = place.load()
        except Exception as error:  # whatever another package does must not end every command
            log.warning("encoder '%s' (%s) is left out: %s", place.name, place.value, error)


@dataclass_transform()
def _with_settings_of_all(settings: type) -> Any:
    """A dataclass with a field more for each encoder: its settings."""
    for name in ENCODERS:
        own = encoder_class(name).settings_type
        attribute, summary = name.replace("-", "_"), (own.__doc__ or name).partition("\n")[0]
        settings.__annotations__[attribute] = own
        setattr(settings, attribute, field(default_factory=own))
        settings.__doc__ = f"{(settings.__doc__ or '').rstrip()}\n        {attribute}: {summary}"
    return dataclass(settings)


_add_others()


@_with_settings_of_all
class EncoderSettings:
    """Settings of every encoder, by its name.

    Args:
        device: Where encoders, and models that predict, compute: `auto` (a GPU if there is one),
            `cpu`, `cuda:1`, ...
    """

    device: str = "auto"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def of(self, name: str) -> Any:
        """Settings of one encoder."""
        return getattr(self, name.replace("-", "_"))

    @staticmethod
    def within(settings: Any) -> "EncoderSettings":
        """Those of them that are among other settings."""
        names = EncoderSettings.__dataclass_fields__
        return EncoderSettings(**{name: getattr(settings, name) for name in names})

    def on(self, device: str) -> "EncoderSettings":
        """The same, for another device."""
        return replace(self, device=device)


def describe_encoder(name: str, settings: EncoderSettings, margin: float = 0.0) -> Description:
    """What `build_encoder` would give, without weights in memory.

    Raises:
        UserError: For an unknown name, or weights that cannot be had.
    """
    return encoder_class(name).describe(settings.of(name), margin)


def build_encoder(name: str, settings: EncoderSettings, margin: float = 0.0) -> Any:
    """Makes an encoder ready to run.

    Args:
        name: Key of `ENCODERS`.
        settings: Settings of all encoders, and the device.
        margin: Share by which crops show more than the close view (`FaceSettings.margin`).

    Raises:
        UserError: For an unknown name, an absent device, or weights that cannot be had.
    """
    kind, device = encoder_class(name), resolve_device(settings.device)
    return kind(settings.of(name), margin=margin, device=device)


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
