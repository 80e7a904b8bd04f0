"""The streams of a whole clip: of its sound, and of files beside it.

Data flow: source > sound, decoded once for all rates > audio encoders > tracks; file of the
source's name > token encoders > tracks.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np

from features.cli.progress import beat
from features.encoders.base import AudioEncoder, Encoder, TokenEncoder, Tokens
from features.errors import UserError
from features.media import MediaFile, SpooledSound
from features.pipeline.discovery import Source
from features.pipeline.timing import StageTimes
from features.store.feature_track import SOUND


class Write(Protocol):
    """Writes one track; see `Extractor`."""

    def __call__(
        self,
        source: Source,
        person: str,
        stream: str,
        encoder: Encoder | None,
        values: np.ndarray,
        times: np.ndarray,
        valid: np.ndarray | None = None,
        spans: np.ndarray | None = None,
        **told: Any,
    ) -> None:
        """All rows are valid unless said otherwise; `told` is for the header."""
        ...


def hear(
    source: Source,
    encoders: Sequence[AudioEncoder],
    write: Write,
    times: StageTimes,
    most: float | None = None,
) -> None:
    """Writes the streams of audio encoders; empty tracks for a video without sound.

    Args:
        source: Its sound, or that of the file beside it if it has none, is heard.
        encoders: Encoders to run.
        write: Takes the tracks.
        times: Where the time of each stage is counted.
        most: Seconds after which it stops; None: the end.

    Raises:
        UserError: If the sound cannot be read, or there are neither pictures nor sound.
    """
    if not encoders:
        return
    rates = {encoder.rate for encoder in encoders}
    with ExitStack() as stack:
        with times.stage("decode sound"):
            sound = stack.enter_context(source.recording().sound(rates, most))
            if sound is None and source.sound:
                sound = stack.enter_context(MediaFile(source.sound).sound(rates, most))
        if not source.has_pictures and not (sound and sound.duration):
            raise UserError(
                f"{source.media or source.id}: neither pictures nor sound can be decoded of it;"
                " replace it or leave it out"
            )
        for encoder in encoders:
            if sound is None:
                _write_nothing(source, encoder, write, "no sound")
            else:
                _encode_sound(source, encoder, sound, write, times)


def _encode_sound(
    source: Source, encoder: AudioEncoder, sound: SpooledSound, write: Write, times: StageTimes
) -> None:
    with times.stage(encoder.name):
        tokens = encoder.encode_sound(sound.blocks(encoder.rate), np.float16)
    alone = 0.0 if source.has_pictures else sound.offset + sound.duration
    _write_tokens(source, encoder, tokens, write, sound.offset, duration=alone)
    times.add(encoder.name, float(tokens.times[-1]) if len(tokens.times) else 0.0)


def read_files(
    source: Source, encoders: Sequence[TokenEncoder], write: Write, times: StageTimes
) -> None:
    """Writes the streams of token encoders; empty tracks where there is no file of theirs.

    Raises:
        UserError: If a file cannot be understood.
    """
    for encoder in encoders:
        path = source.file_for(encoder.reads)
        if path is None:
            wanted = " or ".join(encoder.reads) or "recording"
            _write_nothing(source, encoder, write, f"no {wanted} of it")
            continue
        with times.stage(encoder.name):
            tokens = encoder.encode_file(path)
        _write_tokens(source, encoder, tokens, write)
        beat()


def _write_tokens(
    source: Source,
    encoder: Encoder,
    tokens: Tokens,
    write: Write,
    offset: float = 0.0,
    **told: Any,
) -> None:
    spans = None if tokens.spans is None else tokens.spans + offset
    for stream, values in tokens.values.items():
        write(source, SOUND, stream, encoder, values, tokens.times + offset, spans=spans, **told)


def _write_nothing(source: Source, encoder: Encoder, write: Write, why: str) -> None:
    """Empty tracks."""
    for stream, dim in encoder.streams.items():
        values = np.zeros((0, dim), np.float16)
        write(source, SOUND, stream, encoder, values, np.zeros(0), notes=why)
