"""What a stream is made of, so that a model never meets another encoder's features.

Data flow: headers of a stream's tracks > StreamSpec > checkpoint > compared with a store's tracks.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features.cli.wording import counted
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.streams.clip_tracks import explained, read_dim

EXTRACT = "python -m features.extract"


@dataclass(frozen=True)
class StreamSpec:
    """What all tracks of a stream share.

    Attributes:
        dim: D, the length of a feature vector.
        encoder: Name of the encoder.
        revision: Hash of its weights or code.
        settings: Hash of the extraction's settings; several, joined by commas, where they differ
            (ready-made crops beside raw videos, say).
    """

    dim: int
    encoder: str
    revision: str
    settings: str


def stream_specs(store: TrackStore, streams: Iterable[str]) -> dict[str, StreamSpec]:
    """Reads the headers of all tracks of the streams.

    Raises:
        UserError: If the store does not hold a stream, a track is damaged, or the tracks of one
            stream come from different encoders.
    """
    return {stream: _stream_spec(store, stream) for stream in streams}


def require_same_specs(expected: Mapping[str, StreamSpec], found: Mapping[str, StreamSpec]) -> None:
    """Refuses tracks that the model of a checkpoint was not trained on.

    Other settings of the same encoder are allowed with a warning.

    Args:
        expected: Specs in the checkpoint.
        found: Specs of the tracks at hand.

    Raises:
        UserError: For a stream of another encoder, revision or dimension, and for an absent one.
    """
    for stream, want in expected.items():
        if stream not in found:
            raise UserError(
                f"the checkpoint needs the stream '{stream}', which is not among"
                f" {_names(found)}; run {EXTRACT} with it"
            )
        have = found[stream]
        if _identity(have) != _identity(want):
            raise UserError(
                f"stream '{stream}' holds {_described(have)}, but the checkpoint was trained on"
                f" {_described(want)}; extract it with that encoder or train anew"
            )
        if have.settings != want.settings:
            warnings.warn(
                f"stream '{stream}' was extracted with other settings ({have.settings}) than the"
                f" checkpoint was trained on ({want.settings})",
                stacklevel=2,
            )


def _stream_spec(store: TrackStore, stream: str) -> StreamSpec:
    """Spec of one stream; UserError if its tracks do not agree."""
    ids = store.ids(stream)
    if not ids:
        raise UserError(
            f"{store.root}: no stream '{stream}', only {_names(store.streams())};"
            f" run {EXTRACT} or mend data.streams"
        )
    tracks: dict[StreamSpec, list[str]] = {}
    for track_id in ids:
        with explained():
            info = store.info(stream, track_id)
            dim = read_dim(store.path(stream, track_id))
        spec = StreamSpec(dim, info.encoder, info.revision, info.settings)
        tracks.setdefault(spec, []).append(track_id)
    if len({_identity(spec) for spec in tracks}) > 1:
        mixed = "; ".join(
            f"{_described(spec)} in {counted(len(ids), 'track')} such as {ids[0]}"
            for spec, ids in sorted(tracks.items(), key=lambda item: -len(item[1]))
        )
        raise UserError(
            f"{store.root / stream} mixes encoders: {mixed}; run {EXTRACT} on all videos again"
        )
    first = next(iter(tracks))
    settings = ",".join(sorted({spec.settings for spec in tracks}))
    return StreamSpec(first.dim, first.encoder, first.revision, settings)


def _identity(spec: StreamSpec) -> tuple[int, str, str]:
    return spec.dim, spec.encoder, spec.revision


def _described(spec: StreamSpec) -> str:
    return f"{spec.encoder} {spec.revision} ({counted(spec.dim, 'dimension')})"


def _names(streams: Iterable[str]) -> str:
    return ", ".join(f"'{stream}'" for stream in streams) or "none at all"
